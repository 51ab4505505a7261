/* Calls to the firmware in M-mode (SBI specification 1.0). Hart ids here are the SBI's, not indices. */
#ifndef FIRMWARE_SBI_H
#define FIRMWARE_SBI_H

#include "lib/types.h"

enum sbi_error {
	SBI_SUCCESS = 0,
	SBI_ERR_FAILED = -1,
	SBI_ERR_NOT_SUPPORTED = -2,
	SBI_ERR_INVALID_PARAM = -3,
	SBI_ERR_DENIED = -4,
	SBI_ERR_INVALID_ADDRESS = -5,
	SBI_ERR_ALREADY_AVAILABLE = -6,
	SBI_ERR_ALREADY_STARTED = -7,
	SBI_ERR_ALREADY_STOPPED = -8,
	SBI_ERR_NO_SHMEM = -9,
};

struct sbi_ids {
	uint64_t spec_version; /* major in bits 24-30, minor below */
	uint64_t implementation, implementation_version;
	uint64_t mvendorid, marchid, mimpid;
};

/* Asks once what there is. Before anything else here. */
void sbi_init(void);
const struct sbi_ids *sbi_ids(void);
const char *sbi_error_name(int64_t error);

/* A byte to the firmware's console: always there, slow. */
void sbi_putchar(char c);

/* The timer interrupt comes at this tick; UINT64_MAX: never. Clears a pending one. */
void sbi_set_timer(uint64_t ticks);

/* Bit i of mask: hart id base + i. 0 or an sbi_error. */
int64_t sbi_send_ipi(uint64_t mask, uint64_t base) MUST_CHECK;
int64_t sbi_remote_fence_i(uint64_t mask, uint64_t base) MUST_CHECK;
int64_t sbi_remote_sfence(uint64_t mask, uint64_t base, uint64_t start, uint64_t bytes) MUST_CHECK;
int64_t sbi_remote_sfence_asid(uint64_t mask, uint64_t base, uint64_t start, uint64_t bytes, uint64_t asid) MUST_CHECK;

/* Starts a hart at a physical address with argument in a1. SBI_ERR_NOT_SUPPORTED without HSM. */
int64_t sbi_hart_start(uint64_t id, uint64_t pa, uint64_t argument) MUST_CHECK;

#define SBI_HART_STOPPED 1

/* 0 started, 1 stopped, 2 and 3 on the way there, 4 and on suspended; or an error. */
int64_t sbi_hart_status(uint64_t id) MUST_CHECK;

/* Counters of events (PMU). All: SBI_ERR_NOT_SUPPORTED without it. */
struct sbi_counter {
	bool firmware;
	unsigned csr; /* the hart's own: its number */
};
/* A counter of this hart starts at 0 and counts the event, if one can: its number, or an error. */
int64_t sbi_pmu_start(uint64_t event) MUST_CHECK;
int64_t sbi_pmu_counter(uint64_t number, struct sbi_counter *out) MUST_CHECK;
/* One of the firmware's own. */
int64_t sbi_pmu_read(uint64_t number, uint64_t *value) MUST_CHECK;

enum sbi_reset { SBI_SHUTDOWN, SBI_COLD_REBOOT };
/* Returns only if it cannot. */
int64_t sbi_reset(enum sbi_reset how);
/* Old firmware's way, which may also just stop this hart. */
void sbi_legacy_shutdown(void);

#endif
