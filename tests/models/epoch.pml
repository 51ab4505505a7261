/*
 * Software walks against tables that are unlinked and freed: walk epochs. Describes commit 6bf8142.
 *
 *   walker     walk_lock (mm/walk.h): epoch_enter, look, lock, ask whether it is stale, epoch_exit; then work under the lock
 *   unlinker   a range operation: range_lock, range_unlink with bury (mm/range.c), range_unlock, walk_wait (mm/walk.c), table_free
 *   drain      the harts' store buffers: a store of the epoch, and that of the link, may become visible late, unless a fence waits
 *
 * Must hold: nobody touches a table that was freed, nor works in one that is not linked (design section 4, 2). NO_x leaves guard x out;
 * then it must fail.
 */
#define NOTHING 9
#ifdef SHORT
#define WALKS 1
#else
#define WALKS 2
#endif

byte epoch[2];
byte epoch_buffer[2] = { NOTHING, NOTHING };
bool linked = true, stale, freed;
byte linked_buffer = NOTHING;
byte lock_of_table; /* 0: free */

inline set_epoch(value)
{
	epoch_buffer[me] == NOTHING;
	epoch_buffer[me] = value
}

proctype walker(byte me)
{
	byte walk, mine;
	bool good;

	do
	:: walk < WALKS ->
		walk++;
		mine++;
		set_epoch(mine);
#ifndef NO_FENCE_IN_ENTER
		epoch_buffer[me] == NOTHING;
#endif
		if
		:: linked ->
			assert(!freed);
			atomic { lock_of_table == 0 -> lock_of_table = me + 1 };
			assert(!freed);
#ifndef NO_STALE
			good = !stale;
#else
			good = true;
#endif
#ifdef NO_ANSWER_WITHIN_WALK
			mine++;
			set_epoch(mine);
			epoch_buffer[me] == NOTHING;
#endif
			if
			:: !good -> assert(!freed); lock_of_table = 0
			:: else
			fi;
#ifndef NO_ANSWER_WITHIN_WALK
			mine++;
			set_epoch(mine);
#endif
			if
			:: good ->
				assert(!freed && linked);
				lock_of_table = 0
			:: else
			fi;
			good = false
		:: else -> mine++; set_epoch(mine)
		fi
	:: else -> break
	od
}

/* One hart of epochs_wait. */
inline wait_for(hart)
{
	seen = epoch[hart];
	if
	:: seen % 2 == 1 -> epoch[hart] != seen
	:: else
	fi
}

proctype unlinker()
{
	byte seen;

#ifdef NO_UNLINK_BEFORE_WAIT
	wait_for(0);
	wait_for(1);
#endif
	atomic { lock_of_table == 0 -> lock_of_table = 3 };
	linked_buffer = false;
	stale = true;
	lock_of_table = 0;
#ifndef NO_FENCE_IN_WAIT
	linked_buffer == NOTHING;
#endif
#ifndef NO_WAIT
#ifndef NO_UNLINK_BEFORE_WAIT
	wait_for(0);
	wait_for(1);
#endif
#endif
	assert(lock_of_table == 0);
	freed = true
}

proctype drain()
{
end:
	do
	:: atomic { epoch_buffer[0] != NOTHING -> epoch[0] = epoch_buffer[0]; epoch_buffer[0] = NOTHING }
	:: atomic { epoch_buffer[1] != NOTHING -> epoch[1] = epoch_buffer[1]; epoch_buffer[1] = NOTHING }
	:: atomic { linked_buffer != NOTHING -> linked = linked_buffer; linked_buffer = NOTHING }
	od
}

init
{
	atomic {
		run walker(0);
		run walker(1);
		run unlinker();
		run drain()
	}
}
