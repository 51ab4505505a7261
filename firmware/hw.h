/* What firmware/ itself needs of hw.c; everybody else uses lib/hw.h. */
#ifndef FIRMWARE_HW_H
#define FIRMWARE_HW_H

/* After errata_init, harts_find and kmap_init: from here on fences are as the errata want them. */
void hw_init(void);
/* How many ASID bits the calling hart has. */
unsigned hw_asid_bits_probe(void);
/* asid=off: from here on there are none. Before mm_init, which asks. */
void hw_forget_asids(void);

#endif
