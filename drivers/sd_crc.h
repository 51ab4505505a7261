/* The two checksums of SD cards (Physical Layer Simplified Specification 6.00, section 4.5). */
#ifndef DRIVERS_SD_CRC_H
#define DRIVERS_SD_CRC_H

#include "lib/types.h"

/* Of commands: x^7 + x^3 + 1, in the low 7 bits. */
static inline uint8_t sd_crc7(const uint8_t *bytes, unsigned n)
{
	uint8_t crc = 0; /* in the high 7 bits */

	for (unsigned i = 0; i < n; i++) {
		crc ^= bytes[i];
		for (unsigned bit = 0; bit < 8; bit++)
			crc = (uint8_t)((crc & 0x80) != 0 ? (crc << 1) ^ (0x09 << 1) : crc << 1);
	}
	return crc >> 1;
}

/* Of data: x^16 + x^12 + x^5 + 1. */
static inline uint16_t sd_crc16(const uint8_t *bytes, unsigned n)
{
	uint32_t crc = 0;

	for (unsigned i = 0; i < n; i++) {
		crc = (crc >> 8 | crc << 8) & 0xffff;
		crc ^= bytes[i];
		crc ^= (crc & 0xff) >> 4;
		crc = (crc ^ crc << 12) & 0xffff;
		crc ^= (crc & 0xff) << 5;
	}
	return (uint16_t)crc;
}

#endif
