/* Random bytes. Contract of random.c. */
#ifndef KERNEL_RANDOM_H
#define KERNEL_RANDOM_H

#include "lib/types.h"

void random_init(const void *seed, uint64_t bytes);
void random_bytes(void *out, uint64_t bytes);

#endif
