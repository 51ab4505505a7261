/*
 * What must be done differently on some cores, chosen once at boot by the identities that the SBI gives. board/ has the
 * rules (errata_rules), firmware/ asks.
 */
#ifndef FIRMWARE_ERRATA_H
#define FIRMWARE_ERRATA_H

#include "lib/types.h"

struct errata {
	bool fence_global; /* fences with an address or an ASID may be lost: everything, always (CIP-1200) */
	bool stval_sign;   /* stval of an instruction fault lacks the sign above bit 38 (CIP-453) */
};

struct errata_rule {
	const char *name;
	uint64_t mvendorid, marchid;
	uint64_t mimpid_mask;		    /* what of mimpid is compared */
	uint64_t mimpid_first, mimpid_last; /* inclusive, after masking */
	uint64_t mimpid_fixed;		    /* a whole mimpid in between that is not affected; UINT64_MAX: none */
	struct errata effect;
};

/* board/boards.c: ends with NULL, and each of the tables with a rule without a name. */
extern const struct errata_rule *const errata_rules[];

/* Applies the rules, and says which ones apply. After sbi_init. */
void errata_init(void);
const struct errata *errata(void);

#endif
