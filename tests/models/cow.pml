/*
 * Breaking copy-on-write while others read, write, and fork: mm/fault.c, mm/fork.c where it copies a table. Describes commit 6bf8142.
 *
 *   touch()     a program's access: by the hart's TLB, which hardware fills from the entry; else fault()
 *   fault()     space_fault_here: the leaf's lock, then write_in_place, finish_copy, or fault_allowed
 *   fork()      fork_all, or fork_copy of a table: share_page, range_shootdown, fork_hot, under the parent's lock
 *   leave()     munmap of the page: park, shoot down, frame_put
 *   hardware    any hart may fetch what the entry allows, at any time
 *
 * Two spaces; one page, with a leaf table in each. Harts 0 and 1 run the parent, 2 either. Hart 0 forks. Must hold: each read sees the
 * last write of its own space, and of no other (a stale or early translation shows so); a frame is freed when no TLB names it; its count
 * is the number of entries (1, 2, 3 of design section 4). NO_x leaves guard x out; then it must fail.
 */
#include "harts.inc"

#define FRAMES	 5 /* from 1 on */
#define W	 1
#define FRAME(e) ((e) >> 1)
#ifdef SHORT
#define ACCESSES 1
#else
#define ACCESSES 2
#endif

byte mem[FRAMES];
byte count[FRAMES];
byte pte[2]; /* frame, W; MAYWRITE throughout */
byte lk[2];
byte space_of[N];
byte last[2]; /* what was last written in the space */
bool forked;

inline put(frame)
{
	atomic {
		assert(count[frame] > 0);
		count[frame]--;
		assert(count[frame] > 0 || (FRAME(tlb[0]) != frame && FRAME(tlb[1]) != frame && FRAME(tlb[2]) != frame));
		if
		:: count[frame] == 0 -> mem[frame] = 99 /* somebody else's */
		:: else
		fi
	}
}

inline alloc()
{
	atomic {
		new = 1;
		do
		:: count[new] != 0 -> new++
		:: else -> break
		od;
		assert(new < FRAMES);
		count[new] = 1
	}
}

#define HARTS_OF(s) ((space_of[0] == (s)) | ((space_of[1] == (s)) << 1) | ((space_of[2] == (s)) << 2))

inline finish_copy()
{
	old = FRAME(e);
	alloc();
	mem[new] = mem[old];
#ifdef NO_PUT_LAST
	put(old);
#endif
#ifndef NO_READ_ONLY_FIRST
	pte[s] = new << 1;
#else
	pte[s] = new << 1 | W;
#endif
#ifndef NO_SHOOTDOWN_OF_COPY
	shoot(HARTS_OF(s));
#else
	tlb[me] = 0;
#endif
	pte[s] = new << 1 | W;
#ifndef NO_PUT_LAST
	put(old);
#endif
	atomic {
		new = 0;
		old = 0
	}
}

inline fault(write)
{
#ifndef NO_LOCK
	lock(s);
#endif
	e = pte[s];
	if
	:: e == 0 -> gone = true
	:: e != 0 && write && !(e & W) ->
#ifndef NO_SOLE
		if
		:: count[FRAME(e)] == 1 -> /* write_in_place */
			pte[s] = e | W;
			tlb[me] = 0
		:: else -> finish_copy()
		fi
#else
		pte[s] = e | W;
		tlb[me] = 0
#endif
	:: else -> tlb[me] = 0 /* fault_allowed: spurious by now */
	fi;
	e = 0;
#ifndef NO_LOCK
	unlock(s)
#endif
}

inline touch()
{
	if
	:: write = false
	:: write = true
	fi;
	do
	:: atomic {
		tlb[me] != 0 && (!write || (tlb[me] & W)) ->
		if
		:: write ->
			mem[FRAME(tlb[me])] = me + 1;
			last[s] = me + 1
		:: else -> assert(mem[FRAME(tlb[me])] == last[s])
		fi;
		break
	   }
	:: atomic { tlb[me] == 0 && pte[s] != 0 && (!write || (pte[s] & W)) -> tlb[me] = pte[s] }
	:: (tlb[me] != 0 && write && !(tlb[me] & W)) || (tlb[me] == 0 && (pte[s] == 0 || (write && !(pte[s] & W)))) ->
		fault(write)
	:: gone -> break
	od;
	write = false
}

/* fork_hot: the child may get its copy at once. */
inline hot()
{
	if
	:: atomic {
		pte[1] != 0 ->
		old = FRAME(pte[1]);
		alloc();
		mem[new] = mem[old];
		pte[1] = new << 1 | W;
		new = 0
	   }
	   put(old);
	   if
	   :: count[old] == 1 -> pte[0] = pte[0] | W
	   :: else
	   fi;
	   old = 0
	:: true
	fi
}

inline fork()
{
	lock(0);
#ifndef NO_COUNT
	count[FRAME(pte[0])]++;
#endif
#ifndef NO_CLEAR_W
	pte[0] = pte[0] & 254;
#endif
	pte[1] = pte[0] & 254;
#ifdef NO_SHOOTDOWN_UNDER_LOCK
	unlock(0);
#endif
#ifdef NO_HOT_AFTER_SHOOTDOWN
	hot();
#endif
#ifndef NO_SHOOTDOWN_OF_FORK
	shoot(HARTS_OF(0));
#endif
	last[1] = last[0];
#ifndef NO_HOT_AFTER_SHOOTDOWN
	hot();
#endif
#ifndef NO_SHOOTDOWN_UNDER_LOCK
	unlock(0);
#endif
	forked = true
}

inline leave()
{
	lock(s);
	old = FRAME(pte[s]);
	pte[s] = 0;
#ifndef NO_SHOOTDOWN_OF_UNMAP
	shoot(HARTS_OF(s));
#endif
	if
	:: old != 0 -> put(old)
	:: else
	fi;
	old = 0;
	unlock(s)
}

proctype hart(byte me; byte s)
{
	byte e, old, new, accesses;
	bool write, gone;

	if
	:: me == 0 -> fork()
	:: else
	fi;
	do
	:: s == 1 && forked -> break
	:: s == 0 -> break
	od;
	do
	:: accesses < ACCESSES -> touch(); accesses++
	:: accesses == ACCESSES -> break
	od;
	if
	:: me != 1 -> leave()
	:: else
	fi
}

proctype hardware()
{
	byte me;

end:
	do
	:: atomic {
		select(me : 0 .. 2);
		if
		:: tlb[me] == 0 && pte[space_of[me]] != 0 && (space_of[me] == 0 || forked) -> tlb[me] = pte[space_of[me]]
		:: else
		fi
	   }
	od
}

/* What both spaces have is what they should, whoever looks; but in the moment of a fork, and of a copy. */
init
{
	atomic {
		pte[0] = 1 << 1 | W;
		count[1] = 1;
		if
		:: space_of[2] = 0
		:: space_of[2] = 1
		fi;
		run hart(0, 0);
		run hart(1, 0);
		run hart(2, space_of[2]);
		run hardware();
		run firmware()
	}
	timeout;
	assert(count[1] + count[2] + count[3] + count[4] == (pte[0] != 0) + (pte[1] != 0));
	assert(pte[1] == 0 || mem[FRAME(pte[1])] == last[1])
}
