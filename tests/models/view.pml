/*
 * A hart that links a leaf table into its view while another forks, or unmaps the table: mm/view.c. Describes commit 6bf8142.
 *
 *   linker    a fault's end, with the leaf's lock: view_link -> link_leaf: table.harts, note, the view's entry, fence, is_linked
 *   forker    fork_sharing: detach; views_clear: fence, what is noted, the entries that it says; range_shootdown of all harts
 *   unmapper  a range operation that unlinks the leaf: lock it, view_unlink, stale, shoot down table.harts, free
 *   hardware  a hart fetches by its own view alone; stores of the link and of the detached entry may linger in store buffers
 *
 * Must hold: when the fork, or the unmap, and the fault are done, no hart holds a translation by that leaf, nor can get one: 5 (nothing
 * shared is reached) and 2 of design section 4. NO_x leaves guard x out; then it must fail.
 */
#define NOTHING 9

bool path = true; /* the space's own tables lead to the leaf */
bool stale;
byte path_buffer = NOTHING;
bool view[2]; /* hart's view leads to the leaf */
byte view_buffer[2] = { NOTHING, NOTHING };
bool linked[2]; /* table.linked of the view's table: there may be something in this group; from before, too */
byte linked_buffer[2] = { NOTHING, NOTHING };
bool tlb[2];
bool asked[2];
bool harts[2]; /* table.harts */
byte leaf_lock;
byte done;

inline serve()
{
	atomic { asked[me] -> tlb[me] = false; asked[me] = false }
}

inline lock_leaf(who)
{
	do
	:: atomic { leaf_lock == 0 -> leaf_lock = who; break }
	:: who < 3 && asked[who - 1] -> atomic { tlb[who - 1] = false; asked[who - 1] = false }
	od
}

proctype linker(byte me)
{
	/* walk_lock saw the path whole, and no bump yet. */
	if
	:: path -> lock_leaf(me + 1)
	:: !path -> goto over
	fi;
	if
	:: stale || !path -> leaf_lock = 0; goto over
	:: else
	fi;
#ifndef NO_HARTS
	harts[me] = true;
#endif
#ifndef NO_NOTE
	if
	:: linked[me] -> skip
	:: !linked[me] -> linked_buffer[me] = true
	fi;
#endif
	view_buffer[me] = true;
#ifndef NO_FENCE_IN_LINK
	view_buffer[me] == NOTHING && linked_buffer[me] == NOTHING;
#endif
#ifndef NO_IS_LINKED
	if
	:: !path ->
		view_buffer[me] == NOTHING;
		view[me] = false;
#ifndef NO_FENCE_OF_TAKEN_BACK
		tlb[me] = false
#endif
	:: else
	fi;
#endif
	leaf_lock = 0;
over:
	done++;
end:
	do
	:: serve()
	od
}

inline ask_all(all)
{
	if
	:: all || harts[0] -> asked[0] = true
	:: else
	fi;
	if
	:: all || harts[1] -> asked[1] = true
	:: else
	fi;
	!asked[0];
	!asked[1]
}

/* Its stores to the entry are coherent with the hart's own, which may come behind them. */
inline clear_view(hart)
{
	atomic {
		was = linked[hart];
		linked[hart] = false
	}
	if
	:: was -> view[hart] = false
	:: else
	fi
}

proctype remover(bool fork)
{
	bool was;

	if
	:: fork ->
		path_buffer = false;
#ifndef NO_FENCE_IN_FORK
		path_buffer == NOTHING;
#endif
#ifndef NO_CLEAR
		clear_view(0);
		clear_view(1);
#endif
#ifndef NO_SHOOTDOWN
		ask_all(true);
#endif
		path_buffer == NOTHING
	:: else ->
		lock_leaf(3);
		path = false;
#ifndef NO_VIEW_UNLINK
		if
		:: harts[0] -> view[0] = false
		:: else
		fi;
		if
		:: harts[1] -> view[1] = false
		:: else
		fi;
#endif
		stale = true;
		leaf_lock = 0;
		ask_all(false)
	fi;
	done == 2;
	/* The fault's own stores have come through by its next fence, which is its lock's release. */
	view_buffer[0] == NOTHING && view_buffer[1] == NOTHING && linked_buffer[0] == NOTHING && linked_buffer[1] == NOTHING;
	assert(!view[0] && !view[1] && !tlb[0] && !tlb[1])
}

proctype hardware()
{
end:
	do
	:: atomic { view[0] && !tlb[0] -> tlb[0] = true }
	:: atomic { view[1] && !tlb[1] -> tlb[1] = true }
	/* tlb=rfence: the firmware serves at any time */
	:: atomic { asked[0] -> tlb[0] = false; asked[0] = false }
	:: atomic { asked[1] -> tlb[1] = false; asked[1] = false }
	:: atomic { view_buffer[0] != NOTHING -> view[0] = view_buffer[0]; view_buffer[0] = NOTHING }
	:: atomic { view_buffer[1] != NOTHING -> view[1] = view_buffer[1]; view_buffer[1] = NOTHING }
	:: atomic { linked_buffer[0] != NOTHING -> linked[0] = linked_buffer[0]; linked_buffer[0] = NOTHING }
	:: atomic { linked_buffer[1] != NOTHING -> linked[1] = linked_buffer[1]; linked_buffer[1] = NOTHING }
	:: atomic { path_buffer != NOTHING -> path = path_buffer; path_buffer = NOTHING }
	od
}

init
{
	atomic {
		if
		:: linked[0] = true
		:: true
		fi;
		run linker(0);
		run linker(1);
		if
		:: run remover(true)
		:: run remover(false)
		fi;
		run hardware()
	}
}
