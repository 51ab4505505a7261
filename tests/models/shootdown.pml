/*
 * The mailbox of a shootdown: mm/tlb.c with tlb=ipi. Describes commit 6bf8142.
 *
 *   operate()   a range operation on the hart's own page: change the entry, tlb_shootdown (ask, fence_others), free the frame
 *   serve()     tlb_serve: by a hart in user mode when the interrupt comes, by a waiting one from hw_relax
 *   hardware    any hart may fetch any valid entry into its TLB at any time, also while it is in the kernel
 *
 * Three harts shoot down at the same time, all are asked (SHORT: two do). Must hold: when the frame is freed no TLB names it (design
 * section 4, 2); nobody waits for ever. NO_x leaves guard x out; with any of them left out it must fail.
 */
#define N 3
#ifdef SHORT
#define ROUNDS (me < 2)
#else
#define ROUNDS 1
#endif
#define BIT(i)	   (1 << (i))
#define ALL	   7
#define WITHOUT(i) (ALL ^ (1 << (i)))

byte requests[N]; /* mm_hart.requests */
byte waiting[N];  /* mm_hart.waiting */
bool ipi[N];
bool pte[N]; /* page i is hart i's to unmap */
byte tlb[N]; /* bit p: holds page p */

inline fence(page)
{
	tlb[me] = tlb[me] & WITHOUT(page)
}

inline serve()
{
#ifndef NO_TAKE_AT_ONCE /* atomic_exchange */
	atomic {
		from = requests[me];
		requests[me] = 0
	}
#else
	from = requests[me];
	requests[me] = 0;
#endif
	do
	:: atomic { from != 0 -> a = (from & 1 -> 0 : (from & 2 -> 1 : 2)); from = from & WITHOUT(a) };
#ifndef NO_FENCE_BEFORE_ANSWER
		fence(a);
		waiting[a] = waiting[a] & WITHOUT(me)
#else
		waiting[a] = waiting[a] & WITHOUT(me);
		fence(a)
#endif
	:: from == 0 -> break
	od;
	a = 0
}

/* One hart's mailbox; whether it was empty. */
inline request(h)
{
	if
	:: h != me ->
#ifdef NO_REQUEST_BEFORE_IPI
		atomic {
			if
			:: requests[h] == 0 -> ipi[h] = true
			:: else
			fi
		}
#endif
		atomic {
			if
			:: requests[h] == 0 -> interrupt = interrupt | BIT(h)
			:: else
			fi;
			requests[h] = requests[h] | BIT(me)
		}
	:: else
	fi
}

inline ask()
{
	waiting[me] = WITHOUT(me);
	request(0);
	request(1);
	request(2);
#ifndef NO_REQUEST_BEFORE_IPI
	do
	:: atomic { interrupt != 0 -> a = (interrupt & 1 -> 0 : (interrupt & 2 -> 1 : 2)); interrupt = interrupt & WITHOUT(a); ipi[a] = true; a = 0 }
	:: interrupt == 0 -> break
	od;
#else
	interrupt = 0;
#endif
}

inline operate()
{
	pte[me] = true; /* mapped anew */
#ifndef NO_ENTRY_BEFORE_ASKING
	pte[me] = false;
#endif
	ask();
#ifdef NO_ENTRY_BEFORE_ASKING
	pte[me] = false;
#endif
#ifndef NO_OWN_FENCE
	fence(me);
#endif
#ifndef NO_WAIT
	do
	:: waiting[me] == 0 -> break
#ifndef NO_SERVE_WHILE_WAITING
	:: requests[me] != 0 -> serve()
#endif
	od;
#endif
	/* frame_put, the last one */
	assert(((tlb[0] | tlb[1] | tlb[2]) & BIT(me)) == 0)
}

proctype hart(byte me)
{
	byte from, a, interrupt, round;

end:
	do
	:: round < ROUNDS -> operate(); round++
	:: ipi[me] -> /* user mode, or idle */
#ifndef NO_CLEAR_IPI_BEFORE_SERVING
		ipi[me] = false;
		serve()
#else
		serve();
		ipi[me] = false
#endif
	od
}

proctype hardware()
{
	byte h;

end:
	do
	:: atomic { pte[0] && (tlb[0] & tlb[1] & tlb[2] & 1) == 0 -> select(h : 0 .. 2); tlb[h] = tlb[h] | 1 }
	:: atomic { pte[1] && (tlb[0] & tlb[1] & tlb[2] & 2) == 0 -> select(h : 0 .. 2); tlb[h] = tlb[h] | 2 }
	:: atomic { pte[2] && (tlb[0] & tlb[1] & tlb[2] & 4) == 0 -> select(h : 0 .. 2); tlb[h] = tlb[h] | 4 }
	od
}

init
{
	atomic {
		run hart(0);
		run hart(1);
		run hart(2);
		run hardware()
	}
}
