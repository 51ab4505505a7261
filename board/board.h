/*
 * Boards are constant data. What firmware/ and drivers/ find in the device tree or ask of the firmware needs no line
 * here; what is left are defects, by core or by board. A new board: copy template.c.txt, list it in boards.c and
 * sources.mk.
 */
#ifndef BOARD_BOARD_H
#define BOARD_BOARD_H

#include "firmware/errata.h"

/* Each ends with a rule without a name. */
extern const struct errata_rule sifive_errata[];

#endif
