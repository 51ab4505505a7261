/*
 * Proofs: for every value of every any(), within the bounds that ASSUME states, PROVE holds, no CHECK fails but where it may, and nothing is read
 * or written out of bounds. A harness includes the source that it is about. scripts/prove runs each, and again with each defect of
 * tests/proofs/defects.py, which must be noticed.
 *
 * PROOF: by CBMC, for all values at once. EXHAUSTIVE: by running all cases one after the other; for lists in memory, whose places CBMC
 * would have to tell apart.
 */
#ifndef PROOFS_PROOF_H
#define PROOFS_PROOF_H

#include <stdbool.h>
#include <stdint.h>

/* Loops go round up to `rounds` - 1 times, and no more: that is proved, too. */
#define PROOF(name, rounds) void prove_##name(void)
#define EXHAUSTIVE(name)    void prove_##name(void)

/* A panic: where this does not say that there is to be one, the proof fails. */
extern bool proof_panics;

#ifdef __CPROVER__

uint64_t nondet_uint64(void);

#define ASSUME(cond) __CPROVER_assume(cond)
#define PROVE(cond)  __CPROVER_assert(cond, #cond)
#define PROOF_MAIN

static inline uint64_t any(void)
{
	return nondet_uint64();
}

static inline uint64_t any_below(uint64_t limit)
{
	uint64_t x = nondet_uint64();

	__CPROVER_assume(x < limit);
	return x;
}

#else

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>

#define CHOICES_MAX 64

static struct {
	uint64_t value[CHOICES_MAX], limit[CHOICES_MAX];
	unsigned n, at;
	jmp_buf next;
} choices;

#define ASSUME(cond) ((cond) ? (void)0 : longjmp(choices.next, 1))
#define PROVE(cond)  ((cond) ? (void)0 : proof_failed(#cond, __LINE__))

static inline void proof_failed(const char *what, int line)
{
	printf("line %d: %s does not hold, case", line, what);
	for (unsigned i = 0; i < choices.at; i++)
		printf(" %llu", (unsigned long long)choices.value[i]);
	printf("\n");
	exit(10);
}

/* The next case is the same up to the last choice that can be another. */
static inline uint64_t any_below(uint64_t limit)
{
	if (limit == 0 || choices.at == CHOICES_MAX)
		proof_failed("a choice", 0);
	if (choices.at == choices.n) {
		choices.value[choices.n] = 0;
		choices.limit[choices.n++] = limit;
	}
	return choices.value[choices.at++];
}

static inline void proof_run_all(void (*prove)(void))
{
	uint64_t cases = 0;

	do {
		choices.at = 0;
		cases++;
		if (setjmp(choices.next) == 0)
			prove();
		while (choices.n != 0 && choices.value[choices.n - 1] + 1 == choices.limit[choices.n - 1])
			choices.n--;
		if (choices.n != 0)
			choices.value[choices.n - 1]++;
	} while (choices.n != 0);
	printf("%llu cases\n", (unsigned long long)cases);
}

#define PROOF_MAIN                                                                                                     \
	int main(void)                                                                                                 \
	{                                                                                                              \
		proof_run_all(PROOF_ONE);                                                                              \
		return 0;                                                                                              \
	}

#endif

#define PROOF_ENVIRONMENT                                                                                              \
	bool proof_panics;                                                                                             \
	void hw_panic(const char *fmt, ...)                                                                            \
	{                                                                                                              \
		(void)fmt;                                                                                             \
		PROVE(proof_panics && "no CHECK fails");                                                               \
		for (;;)                                                                                               \
			ASSUME(false);                                                                                 \
	}                                                                                                              \
	/* One hart: whatever is locked here is unlocked. */                                                           \
	void spin_lock_slow(struct spinlock *lock, enum lock_rank rank)                                                \
	{                                                                                                              \
		(void)lock, (void)rank;                                                                                \
		PROVE(false && "no lock is taken twice");                                                              \
	}

#endif
