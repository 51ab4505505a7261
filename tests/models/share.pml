/*
 * Page tables that two spaces share: mm/fork.c (fork_sharing), mm/share.c, mm/walk.h, mm/range.c; they are in tables.inc. Describes commit 6bf8142.
 *
 *   own()       table_own, table_copy, settle; touch(): a program's access, with space_fault
 *   fork()      fork_sharing: detaches the upper table, counts it, bumps, shoots down
 *   fault()     space_fault; and munmap of the one page: walk_lock, park, shoot down, frame_put
 *   unmap_all() munmap of all: range_lock of the root, unlink_detached or bury, range_shootdown, walk_wait, empty_dead
 *   drop_upper(), drop_leaf()   table_drop and table_take_down, then tables_free
 *   hardware    any hart may fetch by way of the tables with V=1
 *
 * Each space has a root; below it an upper table, a leaf table, a page. Harts 0 and 1 run the parent, 2 the child; hart 0 forks and then may let
 * go of all, or write to the page; hart 1 writes to the page, or unmaps it, meanwhile; the child reads it, or writes, and exits. Must hold (design
 * section 4): each read sees the last write of its own space (3, 5); when a frame or a table is freed no TLB and no walker has it (2); at the end the
 * counts are what the entries say (1), and everything is free (6). NO_x leaves guard x out; then it must fail.
 */
#include "tables.inc"

#ifndef NO_LOCK_OF_SHARED
#define UNLOCK_SHARED                                                                                                            \
	unlock(b);                                                                                                               \
	b = 0
#else
#define UNLOCK_SHARED b = 0
#endif

/* The entry of t, which is locked, is detached. */
inline own()
{
	b = to[t];
#ifndef NO_LOCK_OF_SHARED
	lock_table(b);
#endif
	if
	:: names[b] == 1 ->
#ifndef NO_SETTLE
		if
		:: level[t] > 1 && kind[b] == TABLE ->
			n = to[b];
			lock_table(n);
			unlock(n);
			n = 0
		:: else
		fi;
#endif
		atomic {
			kind[t] = TABLE;
			UNLOCK_SHARED
		}
	:: else ->
		/* table_copy: under the lock of both, and of what is below only counts change, so in one step */
		atomic {
			table_new(level[t] - 1);
			if
			:: level[n] == 1 && kind[b] != NONE ->
#ifndef NO_COUNT_BELOW
				names[to[b]]++;
#endif
				was_shared[to[b]] = true;
				kind[b] = DETACHED;
				kind[n] = DETACHED
			:: level[n] == 0 && kind[b] == PAGE ->
				count[to[b]]++;
#ifndef NO_CLEAR_W
				w[b] = false;
#endif
				kind[n] = PAGE;
				w[n] = w[b]
			:: else -> kind[n] = kind[b]
			fi;
			to[n] = to[b];
			kind[t] = TABLE;
			to[t] = n;
			names[b]--;
			n = 0;
			UNLOCK_SHARED
		}
	fi
}

/* Tables on the way down made private, until a leaf table, or nothing, is locked. */
inline down()
{
	do
	:: true ->
		walk_lock();
		if
		:: level[t] == 0 || kind[t] == NONE -> break
		:: else -> assert(kind[t] == DETACHED); own(); unlock(t)
		fi
	od
}

/* A fault, and munmap of the page: found the same way. */
inline fault()
{
	down();
	if
	:: kind[t] == NONE -> gone = true
	:: kind[t] == PAGE && unmapping ->
		atomic {
			old = to[t];
			kind[t] = NONE;
			to[t] = 0;
			w[t] = false
		}
#ifndef NO_SHOOTDOWN_OF_UNMAP
		shoot(HARTS_OF(s));
#endif
		atomic {
			put(old);
			gone = true;
			old = 0
		}
	:: kind[t] == PAGE && !unmapping && write && !w[t] ->
		/* cow.pml is about what is between these steps */
		atomic {
			old = to[t];
			if
			:: count[old] == 1 -> w[t] = true; DROP(me); old = 0
			:: else ->
				alloc();
				mem[new] = mem[old];
				to[t] = new
			fi
		}
		if
		:: old != 0 ->
			shoot(HARTS_OF(s));
			atomic {
				w[t] = true;
				put(old);
				new = 0;
				old = 0
			}
		:: else
		fi
	:: else -> atomic { DROP(me) }
	fi;
	atomic {
		unlock(t);
		t = 0
	}
}

#define CAN(e, write) ((e) != 0 && (!(write) || ((e) & W)))
/* What hardware finds by the tables: the leaf, or 0. */
#define LEAF(s)                                                                                                                  \
	(kind[(s) + 1] == TABLE && kind[to[(s) + 1]] == TABLE && kind[to[to[(s) + 1]]] == PAGE -> to[to[(s) + 1]] : 0)

inline touch()
{
	if
#ifndef SHORT
	:: me == 2 -> write = false
#endif
	:: write = true
	:: me == 1 -> write = true; unmapping = true
	fi;
	do
	:: atomic {
		!unmapping && CAN(tlb[me], write) ->
		if
		:: write ->
			mem[tlb[me] >> 1] = me + 1;
			last[s] = me + 1
		:: else -> assert(mem[tlb[me] >> 1] == last[s])
		fi;
		break
	   }
	:: atomic {
		!unmapping && tlb[me] == 0 && LEAF(s) != 0 && (!write || w[LEAF(s)]) ->
		tlb[me] = to[LEAF(s)] << 1 | w[LEAF(s)]
	   }
	:: unmapping || !CAN(tlb[me], write) && (tlb[me] != 0 || LEAF(s) == 0 || (write && !w[LEAF(s)])) -> fault()
	:: gone -> break
	od;
	write = false;
	unmapping = false
}

/* Hart 0, in the parent. */
inline fork()
{
	atomic {
		lock_table(1);
		lock_table(2)
	}
	if
	:: kind[1] == TABLE ->
		b = to[1];
		lock_table(b);
		atomic {
#ifndef NO_COUNT
			names[b]++;
#endif
			was_shared[b] = true;
			kind[1] = DETACHED;
			kind[2] = DETACHED;
			to[2] = b;
			unlock(b);
			b = 0
		}
	:: else
	fi;
#ifndef NO_BUMP
	forks[0]++;
#endif
#ifndef NO_SHOOTDOWN_OF_FORK
	shoot(3);
#endif
	atomic {
		last[1] = last[0];
		unlock(2);
		unlock(1);
		forked = true
	}
}

/* ---- Letting go. */

/* The leaf table b, of which nobody's entry is left. */
inline take_down_leaf(shared)
{
#ifndef NO_LOCK_IN_TAKE_DOWN
	if
	:: shared || was_shared[b] -> lock_table(b); unlock(b)
	:: else
	fi;
#endif
	if
	:: atomic { kind[b] == PAGE -> old = to[b]; kind[b] = NONE; put(old); old = 0 }
	:: else
	fi;
	walk_wait();
	table_free(b);
	b = 0
}

inline drop_leaf()
{
	lock_table(b);
	if
	:: names[b] == 1 -> unlock(b); take_down_leaf(true)
	:: else -> names[b]--; unlock(b); b = 0
	fi
}

/* What the upper table u names, then itself. */
inline empty_upper(shared)
{
	b = to[u];
	if
	:: kind[u] == TABLE -> take_down_leaf(shared)
	:: kind[u] == DETACHED -> drop_leaf()
	:: else -> b = 0
	fi;
	walk_wait();
	table_free(u);
	u = 0
}

inline drop_upper()
{
	lock_table(u);
	if
	:: names[u] == 1 -> unlock(u);
#ifndef NO_LOCK_IN_TAKE_DOWN
		lock_table(u); unlock(u);
#endif
		empty_upper(true)
	:: else ->
#ifndef NO_COUNT_UNDER_LOCK
		names[u]--; unlock(u);
#else
		unlock(u); names[u]--;
#endif
		u = 0
	fi
}

/* Of a space that nobody runs any more. */
inline exit_space()
{
	atomic {
		DROP(me);
		if
		:: me == 2 -> done_child = 1
		:: else -> left = true; DROP(1)
		fi
	}
	u = to[s + 1];
	if
	:: kind[s + 1] == TABLE -> empty_upper(was_shared[u])
	:: kind[s + 1] == DETACHED -> drop_upper()
	:: else
	fi;
	kind[s + 1] = NONE;
	to[s + 1] = 0;
	u = 0
}

inline bury_upper()
{
	b = to[u];
	if
	:: kind[u] == TABLE ->
		lock_table(b);
#ifndef NO_BURY_STALE
		stale[b] = true;
#endif
		unlock(b)
	:: else
	fi;
	b = 0;
	stale[u] = true;
	unlock(u)
}

inline unmap_all()
{
	lock_table(s + 1);
	u = to[s + 1];
	if
	:: kind[s + 1] == TABLE || kind[s + 1] == DETACHED ->
		lock_table(u);
		if
		:: kind[s + 1] == TABLE || names[u] == 1 -> last_one = true
		:: else
		fi;
		kind[s + 1] = NONE;
		if
		:: last_one -> bury_upper()
		:: else -> names[u]--; unlock(u)
		fi;
#ifndef NO_SHOOTDOWN_OF_UNLINK
		shoot(HARTS_OF(s));
#endif
	:: else
	fi;
	unlock(s + 1);
	if
	:: last_one ->
		walk_wait();
		last_one = false;
		empty_upper(false)
	:: else
	fi;
	u = 0
}

#define LOCALS                                                                                                                   \
	byte t, b, n, u, old, new, was;                                                                                \
	bool good, write, unmapping, gone, last_one

proctype hart(byte me; byte s)
{
	LOCALS;

	if
	:: me == 0 -> fork()
	:: me == 1
	:: me == 2 -> forked
	fi;
	if
	:: me != 0 -> touch()
	:: me == 2 || me == 0
	fi;
	if
	:: me == 0 -> unmap_all()
#ifndef SHORT
	:: me == 0
	:: me == 0 -> touch()
#endif
	:: me == 1
	:: me == 2 -> exit_space()
	fi;
	gone = false;
	done++;
	do
	:: done == 3 && me == 0 -> break
	:: left -> goto over
	od;
	/* Everybody has left. */
	exit_space();
	/* 1 and 6 */
	assert(count[1] + count[2] + count[3] + count[4] == 0);
	assert(names[3] + names[4] + names[5] + names[6] + names[7] + names[8] == 0);
over:
	skip
}

proctype hardware()
{
end:
	do
	:: atomic { !left && tlb[0] == 0 && LEAF(0) != 0 -> tlb[0] = to[LEAF(0)] << 1 | w[LEAF(0)] }
	:: atomic { !left && tlb[1] == 0 && LEAF(0) != 0 -> tlb[1] = to[LEAF(0)] << 1 | w[LEAF(0)] }
	:: atomic { forked && done_child == 0 && tlb[2] == 0 && LEAF(1) != 0 -> tlb[2] = to[LEAF(1)] << 1 | w[LEAF(1)] }
	od
}

init
{
	atomic {
		kind[1] = TABLE;
		to[1] = 3;
		level[1] = 2;
		names[1] = 1;
		level[2] = 2;
		names[2] = 1;
		kind[3] = TABLE;
		to[3] = 4;
		level[3] = 1;
		names[3] = 1;
		kind[4] = PAGE;
		to[4] = 1;
		w[4] = true;
		names[4] = 1;
		count[1] = 1;
		run hart(0, 0);
		run hart(1, 0);
		run hart(2, 1);
		run hardware();
		run firmware()
	}
}
