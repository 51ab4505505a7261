/*
 * Random bytes: ChaCha20 (RFC 8439) as a generator, rekeyed after each request, so that what was given out cannot be
 * computed from what is in memory later.
 *
 * How good they are is how good the seed is: the device tree's rng-seed (QEMU and U-Boot give one: then they are fit for
 * keys), else only the clock at boot and at each request, which is not, and is said so in the log at boot.
 *
 * Locks: one generator a hart, used by its hart alone with interrupts off; no lock, no shared line.
 */
#include "kernel/random.h"

#include <string.h>

#include "firmware/log.h"
#include "firmware/trap.h"
#include "lib/check.h"
#include "lib/hw.h"
#include "mm/slab.h"

struct generator {
	uint32_t key[8];
	uint64_t nonce;
} CACHE_ALIGNED;

static struct generator *generators; /* hw_harts() of them */

static uint32_t rotate(uint32_t x, unsigned n)
{
	return x << n | x >> (32 - n);
}

static ALWAYS_INLINE void quarter(uint32_t *a, uint32_t *b, uint32_t *c, uint32_t *d)
{
	*a += *b;
	*d = rotate(*d ^ *a, 16);
	*c += *d;
	*b = rotate(*b ^ *c, 12);
	*a += *b;
	*d = rotate(*d ^ *a, 8);
	*c += *d;
	*b = rotate(*b ^ *c, 7);
}

/* The words are in registers, as far as there are any. */
static void block(const struct generator *generator, uint64_t counter, uint32_t out[16])
{
	uint32_t in[16] = { 0x61707865, 0x3320646e, 0x79622d32, 0x6b206574 };
	uint32_t x[16];

	memcpy(in + 4, generator->key, sizeof(generator->key));
	memcpy(in + 12, &counter, sizeof(counter));
	memcpy(in + 14, &generator->nonce, sizeof(generator->nonce));
	memcpy(x, in, sizeof(x));
	for (int i = 0; i < 10; i++) {
		quarter(x + 0, x + 4, x + 8, x + 12);
		quarter(x + 1, x + 5, x + 9, x + 13);
		quarter(x + 2, x + 6, x + 10, x + 14);
		quarter(x + 3, x + 7, x + 11, x + 15);
		quarter(x + 0, x + 5, x + 10, x + 15);
		quarter(x + 1, x + 6, x + 11, x + 12);
		quarter(x + 2, x + 7, x + 8, x + 13);
		quarter(x + 3, x + 4, x + 9, x + 14);
	}
	for (int i = 0; i < 16; i++)
		out[i] = x[i] + in[i];
}

void random_bytes(void *out, uint64_t bytes)
{
	struct generator *generator = &generators[hw_hart()];
	uint32_t stream[16];
	uint8_t *to = out;
	uint64_t counter = 1;

	generator->nonce ^= time_ticks();
	/* The next key takes half of a block: the other half is as good, and mostly enough. */
	while (bytes > sizeof(stream) - sizeof(generator->key)) {
		uint64_t n = MIN(bytes, sizeof(stream));

		block(generator, counter++, stream);
		memcpy(to, stream, n);
		to += n;
		bytes -= n;
	}
	block(generator, 0, stream);
	memcpy(generator->key, stream, sizeof(generator->key));
	memcpy(to, stream + ARRAY_LEN(generator->key), bytes);
	generator->nonce++;
	memset(stream, 0, sizeof(stream));
}

/* Eight bytes at a time into the key, which a block of the cipher mixes. */
static void absorb(struct generator *generator, const uint8_t *seed, uint64_t bytes)
{
	uint32_t mixed[16];

	for (uint64_t i = 0; i < bytes; i++) {
		((uint8_t *)generator->key)[i % sizeof(generator->key)] ^= seed[i];
		if (i + 1 == bytes || (i + 1) % sizeof(generator->key) == 0) {
			block(generator, i, mixed);
			memcpy(generator->key, mixed, sizeof(generator->key));
		}
	}
}

void random_init(const void *seed, uint64_t bytes)
{
	uint64_t now = time_ticks();

	generators = kalloc(sizeof(struct generator) * hw_harts());
	CHECK(generators != NULL);
	if (bytes < 16)
		klog("random: the device tree has no rng-seed; getrandom is not fit for keys");
	for (unsigned i = 0; i < hw_harts(); i++) {
		absorb(&generators[i], (const uint8_t *)&now, sizeof(now));
		absorb(&generators[i], (const uint8_t *)&i, sizeof(i));
		absorb(&generators[i], seed, bytes);
	}
}
