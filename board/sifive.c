/* SiFive HiFive Unleashed (FU540: U54) and Unmatched (FU740: U74). Sources: SiFive's errata sheets of both. */
#include "board/board.h"

#define SIFIVE	   0x489
#define SIFIVE_U54 0x1
#define SIFIVE_U74 0x8000000000000007

#define CIP_1200(arch)                                                                                                 \
	{                                                                                                              \
		.name = "SiFive CIP-1200: every fence is the global one", .mvendorid = SIFIVE, .marchid = (arch),      \
		.mimpid_mask = 0xffffff, .mimpid_last = 0x200630, .mimpid_fixed = 0x1200626,                           \
		.effect = { .fence_global = true },                                                                    \
	}

const struct errata_rule sifive_errata[] = {
	CIP_1200(SIFIVE_U54),
	CIP_1200(SIFIVE_U74),
	{
		.name = "SiFive CIP-453: stval of instruction faults gets its sign",
		.mvendorid = SIFIVE,
		.marchid = SIFIVE_U74,
		.mimpid_mask = UINT64_MAX,
		.mimpid_first = 0x20181004,
		.mimpid_last = 0x20191105,
		.mimpid_fixed = UINT64_MAX,
		.effect = { .stval_sign = true },
	},
	{ .name = NULL },
};
