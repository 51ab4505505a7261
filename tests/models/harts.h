/*
 * For models in which asking a hart is one step (shootdown.pml is about how): each hart has a bit for each that asks it; whoever waits, for an
 * answer or for a lock, serves, as in hw_relax. The model says what DROP is: what a hart forgets then.
 */
#define N	   3
#define BIT(i)	   (1 << (i))
#define ALL	   7
#define WITHOUT(i) (ALL ^ (1 << (i)))

byte asked[N];

/* In a do or an if: a waiting hart, or one in user mode. */
#define SERVE                                                                                                                    \
	atomic {                                                                                                                 \
		asked[me] != 0 ->                                                                                                \
		DROP(me);                                                                                                        \
		asked[me] = 0                                                                                                    \
	}

/* tlb_shootdown of these harts and of this one. */
inline shoot(harts)
{
	atomic {
		DROP(me);
		if
		:: (harts) & WITHOUT(me) & 1 -> asked[0] = asked[0] | BIT(me)
		:: else
		fi;
		if
		:: (harts) & WITHOUT(me) & 2 -> asked[1] = asked[1] | BIT(me)
		:: else
		fi;
		if
		:: (harts) & WITHOUT(me) & 4 -> asked[2] = asked[2] | BIT(me)
		:: else
		fi
	}
	do
	:: ((asked[0] | asked[1] | asked[2]) & BIT(me)) == 0 -> break
	:: SERVE
	od
}

/* The lock of table t is lk[t]: 0, or the hart that has it + 1. */
inline lock(t)
{
	do
	:: atomic { lk[t] == 0 -> lk[t] = me + 1; break }
	:: SERVE
	od
}

inline unlock(t)
{
	lk[t] = 0
}
