/*
 * Names: UTF-8 outside, UTF-16 in long names, code page 437 in short ones. Names are compared without regard to case, for
 * letters of Latin, Greek and Cyrillic, and kept as they were given. Half a surrogate pair, which some systems allow in
 * names, becomes three bytes of UTF-8 that no valid text has, and is found by those; but no such names are made here.
 */
#include <string.h>

#include "fs/fat_volume.h"

/* Code page 437, from 0x80 on. */
static const uint16_t cp437[128] = {
	0x00c7, 0x00fc, 0x00e9, 0x00e2, 0x00e4, 0x00e0, 0x00e5, 0x00e7, 0x00ea, 0x00eb, 0x00e8, 0x00ef, 0x00ee,
	0x00ec, 0x00c4, 0x00c5, 0x00c9, 0x00e6, 0x00c6, 0x00f4, 0x00f6, 0x00f2, 0x00fb, 0x00f9, 0x00ff, 0x00d6,
	0x00dc, 0x00a2, 0x00a3, 0x00a5, 0x20a7, 0x0192, 0x00e1, 0x00ed, 0x00f3, 0x00fa, 0x00f1, 0x00d1, 0x00aa,
	0x00ba, 0x00bf, 0x2310, 0x00ac, 0x00bd, 0x00bc, 0x00a1, 0x00ab, 0x00bb, 0x2591, 0x2592, 0x2593, 0x2502,
	0x2524, 0x2561, 0x2562, 0x2556, 0x2555, 0x2563, 0x2551, 0x2557, 0x255d, 0x255c, 0x255b, 0x2510, 0x2514,
	0x2534, 0x252c, 0x251c, 0x2500, 0x253c, 0x255e, 0x255f, 0x255a, 0x2554, 0x2569, 0x2566, 0x2560, 0x2550,
	0x256c, 0x2567, 0x2568, 0x2564, 0x2565, 0x2559, 0x2558, 0x2552, 0x2553, 0x256b, 0x256a, 0x2518, 0x250c,
	0x2588, 0x2584, 0x258c, 0x2590, 0x2580, 0x03b1, 0x00df, 0x0393, 0x03c0, 0x03a3, 0x03c3, 0x00b5, 0x03c4,
	0x03a6, 0x0398, 0x03a9, 0x03b4, 0x221e, 0x03c6, 0x03b5, 0x2229, 0x2261, 0x00b1, 0x2265, 0x2264, 0x2320,
	0x2321, 0x00f7, 0x2248, 0x00b0, 0x2219, 0x00b7, 0x221a, 0x207f, 0x00b2, 0x25a0, 0x00a0,
};

static uint16_t upper(uint16_t c)
{
	bool pair_odd = (c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17e);
	bool pair_even = (c >= 0x100 && c <= 0x137 && c != 0x131) || (c >= 0x14a && c <= 0x177) ||
			 (c >= 0x460 && c <= 0x481) || (c >= 0x48a && c <= 0x4bf) || (c >= 0x4d0 && c <= 0x52f);

	if ((c >= 'a' && c <= 'z') || (c >= 0xe0 && c <= 0xfe && c != 0xf7))
		return (uint16_t)(c - 0x20);
	if (c == 0xff)
		return 0x178;
	if (pair_even && (c & 1) != 0)
		return (uint16_t)(c - 1);
	if (pair_odd && (c & 1) == 0)
		return (uint16_t)(c - 1);
	if ((c >= 0x3b1 && c <= 0x3c9 && c != 0x3c2) || (c >= 0x430 && c <= 0x44f))
		return (uint16_t)(c - 0x20);
	return c >= 0x450 && c <= 0x45f ? (uint16_t)(c - 0x50) : c;
}

uint32_t fat_name_hash(const uint16_t *unit, unsigned units)
{
	uint32_t hash = units;

	for (unsigned i = 0; i < units; i++)
		hash = (hash ^ upper(unit[i])) * UINT32_C(0x9e3779b1);
	return hash ^ hash >> 16;
}

bool fat_name_equal(const struct fat_name *name, const uint16_t *unit, unsigned units)
{
	if (units != name->units)
		return false;
	for (unsigned i = 0; i < units; i++)
		if (unit[i] != name->unit[i] && upper(unit[i]) != upper(name->unit[i]))
			return false;
	return true;
}

/* One character of UTF-8, not longer than needed; how many bytes it has, 0: it is none. */
static size_t decode(const uint8_t *at, size_t n, uint32_t *out)
{
	static const uint32_t least[5] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t bytes = at[0] < 0x80 ? 1 : at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
	uint32_t c = bytes == 1 ? at[0] : at[0] & (0x7fU >> bytes);

	if (bytes > n || (at[0] >= 0x80 && at[0] < 0xc0) || at[0] >= 0xf8)
		return 0;
	for (size_t i = 1; i < bytes; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (at[i] & 0x3f);
	}
	*out = c;
	return c < least[bytes] || c > 0x10ffff ? 0 : bytes;
}

/* Dots at the end do not count, as in Windows and Linux. Where there is nothing else: -ENOENT, as in Linux. */
int fat_name_parse(struct fat_name *name, const char *utf8, size_t n)
{
	const uint8_t *at = (const uint8_t *)utf8;

	name->units = 0;
	name->half = false;
	while (n > 0 && utf8[n - 1] == '.')
		n--;
	if (n == 0)
		return -ENOENT;
	for (size_t i = 0, bytes; i < n; i += bytes) {
		uint32_t c;

		bytes = decode(at + i, n - i, &c);
		if (bytes == 0)
			return -EINVAL;
		name->half = name->half || (c >= 0xd800 && c < 0xe000);
		if (name->units + (c > 0xffff ? 2U : 1U) > FAT_UNITS)
			return -ENAMETOOLONG;
		if (c > 0xffff) {
			name->unit[name->units++] = (uint16_t)(0xd800 + ((c - 0x10000) >> 10));
			c = 0xdc00 + (c & 0x3ff);
		}
		name->unit[name->units++] = (uint16_t)c;
	}
	return 0;
}

size_t fat_name_utf8(const uint16_t *unit, unsigned units, char *out)
{
	size_t n = 0;

	for (unsigned i = 0; i < units; i++) {
		uint32_t c = unit[i];

		if (c >= 0xd800 && c < 0xdc00 && i + 1 < units && unit[i + 1] >= 0xdc00 && unit[i + 1] < 0xe000)
			c = 0x10000 + ((c - 0xd800) << 10) + (unit[++i] - 0xdc00U);
		if (c < 0x80) {
			out[n++] = (char)c;
			continue;
		}
		if (c >= 0x10000) {
			out[n++] = (char)(0xf0 | c >> 18);
			out[n++] = (char)(0x80 | (c >> 12 & 0x3f));
		} else if (c >= 0x800) {
			out[n++] = (char)(0xe0 | c >> 12);
		}
		out[n++] = (char)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3f) : 0xc0 | c >> 6);
		out[n++] = (char)(0x80 | (c & 0x3f));
	}
	out[n] = '\0';
	return n;
}

/* A character of a short name; 0: one that it cannot have. */
static uint8_t alias_char(uint16_t c)
{
	c = c >= 'a' && c <= 'z' ? (uint16_t)(c - 0x20) : c;
	if ((c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	    (c != 0 && c < 0x80 && strchr("$%'-_@~`!(){}^#&", c) != NULL))
		return (uint8_t)c;
	return 0;
}

/* Up to `room` characters of unit[from, to) into the alias; false if the alias is not the same. */
static bool alias_part(const struct fat_name *name, unsigned from, unsigned to, uint8_t *at, unsigned room)
{
	unsigned n = 0;
	bool same = true;

	for (unsigned i = from; i < to; i++) {
		uint16_t unit = name->unit[i];
		uint8_t c = alias_char(unit);

		if (c != 0 ? c != unit && upper(unit) != c : true)
			same = false;
		if (unit == ' ' || unit == '.')
			continue;
		if (n < room)
			at[n++] = c == 0 ? '_' : c;
		else
			same = false;
	}
	return same;
}

/* Whether the name can be, and its alias. */
int fat_name_check(struct fat_name *name)
{
	unsigned dot = name->units, i;
	bool same;

	for (i = 0; i < name->units; i++)
		if (name->unit[i] < 0x20 || (name->unit[i] < 0x80 && strchr("\"*/:<>?\\|", name->unit[i]) != NULL))
			return -EINVAL;
	if (name->half || name->unit[name->units - 1] == ' ')
		return -EINVAL;
	for (i = name->units; i-- > 1 && dot == name->units;)
		if (name->unit[i] == '.')
			dot = i;
	memset(name->alias, ' ', sizeof(name->alias));
	same = alias_part(name, 0, dot, name->alias, 8);
	if (dot < name->units)
		same = alias_part(name, dot + 1, name->units, name->alias + 8, 3) && same;
	if (name->alias[0] == ' ') {
		name->alias[0] = '_';
		same = false;
	}
	name->tail = !same;
	name->alone = same;
	for (i = 0; i < name->units; i++)
		if (name->unit[i] >= 'a' && name->unit[i] <= 'z')
			name->alone = false;
	return 0;
}

/* ~number at the end of the first eight, over what stands there. */
void fat_name_tail(uint8_t alias[11], uint32_t number)
{
	uint8_t digits[8];
	unsigned n = 0, length = 0;

	for (; number != 0; number /= 10)
		digits[n++] = (uint8_t)('0' + number % 10);
	digits[n++] = '~';
	while (length < 8 - n && alias[length] != ' ')
		length++;
	memset(alias + length, ' ', 8 - length);
	while (n > 0)
		alias[length++] = digits[--n];
}

static unsigned alias_units(const uint8_t *at, unsigned n, bool lower, uint16_t *unit)
{
	while (n > 0 && at[n - 1] == ' ')
		n--;
	for (unsigned i = 0; i < n; i++) {
		uint8_t c = at[i];

		unit[i] = c >= 0x80 ? cp437[c - 0x80] : lower && c >= 'A' && c <= 'Z' ? (uint16_t)(c + 0x20) : c;
	}
	return n;
}

/* What a slot's short name is; the case is where Windows keeps it. */
unsigned fat_alias_units(const uint8_t *slot, uint16_t *unit)
{
	uint8_t base[8];
	unsigned n, more;

	memcpy(base, slot, sizeof(base));
	if (base[0] == 0x05)
		base[0] = 0xe5;
	n = alias_units(base, 8, (slot[12] & 0x08) != 0, unit);
	more = alias_units(slot + 8, 3, (slot[12] & 0x10) != 0, unit + n + 1);
	if (more == 0)
		return n;
	unit[n] = '.';
	return n + 1 + more;
}

uint8_t fat_alias_sum(const uint8_t alias[11])
{
	uint8_t sum = 0;

	for (unsigned i = 0; i < 11; i++)
		sum = (uint8_t)((sum >> 1 | sum << 7) + alias[i]);
	return sum;
}
