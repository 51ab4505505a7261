/* All boards' rules. A rule names the cores it is for, so that all of them are in every kernel. */
#include "board/board.h"

const struct errata_rule *const errata_rules[] = { sifive_errata, NULL };
