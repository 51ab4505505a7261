/* A virtio disk on the fake device, for test_virtio.c and test_virtio_bad.c: requests, what came of them, and what was logged. */
#ifndef TESTS_VIRTIO_RIG_H
#define TESTS_VIRTIO_RIG_H

#include "tests/unit/unit.h"

#include "drivers/virtio_blk.h"
#include "tests/unit/fake_virtio.h"

#define REQUESTS 40U

extern struct virtio_blk blk;
extern struct block_request request[REQUESTS];
extern struct block_segment segment[REQUESTS][4];
extern uint8_t data[REQUESTS][4][1024];
extern unsigned dones, errors, watches; /* done() was called; with an error; a watch was asked for */
extern uint64_t kept, clock_ns;		/* bytes that must not be used again; the time */
extern bool out_of_memory;		/* to be */
extern char last_line[256];

/* done() of all requests. */
void on_done(struct block_request *done, int error);
/* The driver on the device as fake_virtio_reset and the test have made it. */
int start(void);
/* Request i: so many segments of 1 KiB. */
void submit(unsigned i, enum block_op op, uint64_t sector, unsigned segments);
/* The device answers up to n, the newest first if `backward`, and interrupts. */
void serve(unsigned n, bool backward);
/* Writes and reads back `rounds` times REQUESTS requests, answered a few at a time and in any order. */
void exercise(unsigned rounds);
/* A device with twenty reads, of which it has eight. */
void begin_some(bool is_legacy);

#endif
