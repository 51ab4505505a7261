/*
 * A virtio-blk device behind registers, for test_virtio.c: legacy or modern, by the book or broken in one way. It reads the
 * rings where the driver told it to, on its own idea of the layout.
 */
#ifndef TESTS_FAKE_VIRTIO_H
#define TESTS_FAKE_VIRTIO_H

#include <stdbool.h>
#include <stdint.h>

#define FAKE_SECTORS 4096U

enum fake_answer { ANSWER_RIGHT, ANSWER_ERROR, ANSWER_SHORT, ANSWER_NO_STATUS, ANSWER_LONG };

struct fake_virtio {
	/* The test's: before the driver starts. */
	bool legacy;
	uint32_t queue_max;
	uint64_t features;
	uint32_t block_bytes, segment_bytes, segments;
	bool refuses_features;
	bool ignores_reset;
	bool gone; /* all ones, and writes go nowhere */
	enum fake_answer answer;
	/* What the driver did. */
	uint32_t status, queue_size, queue_align, page_size;
	uint64_t descriptors, available, used; /* physical */
	uint64_t driver_features;
	unsigned notified, resets, illegal; /* illegal: what the specification does not allow */
	uint32_t interrupt;
	uint16_t seen;	  /* of the available ring */
	uint16_t written; /* of the used ring */
	unsigned feature_page, indirect_seen, longest;
	bool ready;
	uint8_t disk[FAKE_SECTORS * 512];
};

extern struct fake_virtio fake;

/* All that a driver may ask for; a queue of 8. */
void fake_virtio_reset(bool legacy);
/* Answers up to n requests, the newest first if `backward`; raises the interrupt. How many. */
unsigned fake_virtio_work(unsigned n, bool backward);
/* Puts any answer into the used ring. */
void fake_virtio_use(uint32_t id, uint32_t bytes);
/* Makes the used index any number more. */
void fake_virtio_jump(uint16_t by);

#endif
