/*
 * A fault that is looked up by its hart's view while another hart forks: walk_try_leaf (mm/walk.h), fork_sharing (mm/fork.c).
 * Describes commit 6bf8142.
 *
 *   walker    notes what fork must know of (an attachment, a seal), epoch_enter with its fence, forks, the view's entry, the leaf's
 *             lock, forks again; then it is at work in the leaf
 *   forker    detach, views_clear, bump, fence, look at what is noted
 *   child     takes the leaf's lock by its own path, once the fork is done
 *   hardware  lets stores through that linger: they may pass each other
 *
 * Must hold: who is at work in the leaf began before the fork, is seen by it, and has the lock before the child: as if it had come
 * first. Nobody who has seen the bump finds what was detached. NO_x leaves guard x out; then it must fail.
 */
#define NOTHING 9

bool view = true;
byte view_buffer = NOTHING;
byte forks;
byte forks_buffer = NOTHING;
bool noted;
byte noted_buffer = NOTHING;
bool fork_saw;
bool fork_done;
bool child_had_it;
bool at_work;
bool locked;

/* Its release: not before what was stored before. */
#ifdef NO_RELEASE_OF_BUMP
#define may_bump true
#else
#define may_bump (view_buffer == NOTHING)
#endif

proctype walker()
{
	byte seen;
	bool found;

	noted_buffer = true;
#ifndef NO_FENCE_IN_WALK
	noted_buffer == NOTHING;
#endif
	if
	:: seen = forks; found = view
#ifdef NO_ACQUIRE_OF_FORKS
	:: found = view; seen = forks
#endif
	fi;
	if
	:: found ->
		atomic { !locked -> locked = true };
		if
#ifndef NO_LOOK_AGAIN
		:: forks != seen -> skip
		:: forks == seen ->
#else
		:: true ->
#endif
			assert(seen == 0 && !child_had_it);
			at_work = true
		fi;
		locked = false
	:: !found -> skip
	fi;
	(fork_done && noted_buffer == NOTHING) -> assert(!at_work || fork_saw)
}

proctype forker()
{
#ifndef NO_CLEAR_BEFORE_BUMP
	view_buffer = false;
#endif
	forks_buffer = 1;
#ifndef NO_FENCE_BEFORE_LOOK
	forks_buffer == NOTHING;
#endif
	fork_saw = noted;
#ifdef NO_CLEAR_BEFORE_BUMP
	view_buffer = false;
#endif
	/* The tables' locks are let go of. */
	(view_buffer == NOTHING && forks_buffer == NOTHING) -> fork_done = true
}

proctype child()
{
	fork_done;
	atomic { !locked -> child_had_it = true }
}

proctype hardware()
{
end:
	do
	:: atomic { view_buffer != NOTHING -> view = view_buffer; view_buffer = NOTHING }
	:: atomic { forks_buffer != NOTHING && may_bump -> forks = forks_buffer; forks_buffer = NOTHING }
	:: atomic { noted_buffer != NOTHING -> noted = noted_buffer; noted_buffer = NOTHING }
	od
}

init
{
	atomic {
		run walker();
		run forker();
		run child();
		run hardware()
	}
}
