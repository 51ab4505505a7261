/* Address space identifiers. Private to mm/. */
#ifndef MM_ASID_H
#define MM_ASID_H

#include "lib/types.h"

void asid_init(void);
/*
 * An ASID that no other space has, or 0 where there are none left, or the harts have none. Harts may still hold entries
 * of the space that had it before: the new one's `cached` set is empty, so each hart flushes it when it first runs it.
 */
uint16_t asid_alloc(void);
void asid_free(uint16_t asid);

#endif
