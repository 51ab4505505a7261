/*
 * Harts that join and leave a space while another shoots it down: mm/tlb.c, `active` and `cached`, with an ASID. Describes
 * commit 6bf8142; with tlb=broadcast all are asked always.
 *
 *   initiator   a range operation in the space, twice: entry (a store that may linger in the store buffer), targets(), ask, free; or of a
 *               page alone, with tlb_shootdown_page (mm/tlb.h), whose look before that is to find nobody
 *   switcher    space_switch there and back: enter(), run, leave()
 *   hardware    fetches the entry for a hart whose satp is the space's, and uses what it holds; drains the store buffer
 *
 * Asking as such is in shootdown.pml: here a hart that is asked serves when it is in user mode, in this space or another. Must hold: no hart uses a
 * translation of a frame that was freed (design section 4, 2). NO_x leaves guard x out; then it must fail.
 */
#define N 3
#define BIT(i) (1 << (i))
#define ALL    7
#ifdef SHORT
#define ROUNDS 1
#define VISITS 2
#else
#define ROUNDS 2
#define VISITS 3
#endif

byte running = 1, cached = 1; /* space.active, space.cached; hart 0, the initiator, is in the space throughout */
bool satp[N];
byte pte = 1;	   /* the frame's number; 0: none */
byte buffered = 9; /* 9: nothing; else what pte will be */
byte tlb[N];	   /* of this ASID */
byte freed;	   /* frames up to this number are */
byte asked;

inline fetch(h)
{
	atomic { satp[h] && pte != 0 && tlb[h] == 0 -> tlb[h] = pte }
}

inline use(h)
{
	atomic { satp[h] && tlb[h] != 0 && tlb[h] <= freed -> assert(false) }
}

proctype initiator()
{
	byte frame = 1, see, resting;

	do
	:: frame <= ROUNDS ->
		buffered = 0;
#ifndef NO_FENCE
		buffered == 9; /* atomic_thread_fence in targets() */
#endif
		if
		:: true
		:: true ->
			/* tlb_shootdown_page */
			see = running;
#ifndef NO_LOOK_AT_CACHED
			see = see | cached;
#endif
			if
			:: see & 6
			:: else -> goto own
			fi
		fi;
		see = running;
		resting = cached & (ALL ^ see) & 6;
		if
		:: resting != 0 ->
#ifndef NO_TAKE_OUT
			cached = cached & (ALL ^ resting);
#endif
#ifdef NO_KEEP_FIRST_LOOK
			see = running
#else
#ifndef NO_LOOK_AGAIN
			see = see | running
#endif
#endif
		:: else
		fi;
#ifndef NO_ASK
		asked = see & 6;
#endif
own:
		tlb[0] = 0;
		asked == 0;
		freed = frame;
		buffered == 9;
		frame++;
		pte = (frame <= ROUNDS -> frame : 0);
		see = 0;
		resting = 0
	:: else -> break
	od
}

/* A hart that is asked: between operations of its own, or in user mode. */
inline serve()
{
	atomic {
		asked & BIT(me) ->
		tlb[me] = 0;
		asked = asked & (ALL ^ BIT(me))
	}
}

proctype switcher(byte me)
{
	byte visit;
	bool known;

end:
	do
	:: visit < VISITS ->
		visit++;
#ifndef NO_JOIN_BEFORE_LOOKING
		running = running | BIT(me);
		known = (cached & BIT(me)) != 0;
#else
		known = (cached & BIT(me)) != 0;
		running = running | BIT(me);
#endif
		if
		:: !known ->
			cached = cached | BIT(me);
#ifndef NO_FLUSH
			tlb[me] = 0
#endif
		:: else
		fi;
		satp[me] = true;
		do
		:: serve()
		:: break
		od;
#ifndef NO_LEAVE_LAST
		satp[me] = false;
		running = running & (ALL ^ BIT(me))
#else
		running = running & (ALL ^ BIT(me));
		satp[me] = false
#endif
	:: serve()
	od
}

proctype hardware()
{
end:
	do
	:: fetch(0)
	:: fetch(1)
	:: fetch(2)
	:: use(0)
	:: use(1)
	:: use(2)
	:: atomic { buffered != 9 -> pte = buffered; buffered = 9 }
	od
}

init
{
	atomic {
		satp[0] = true;
		run initiator();
		run switcher(1);
		run switcher(2);
		run hardware()
	}
}
