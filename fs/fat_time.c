/* FAT's dates and times, taken as UTC: years from 1980 to 2107, steps of 2 seconds. */
#include "fs/fat_volume.h"

#define DAY	  INT64_C(86400)
#define FIRST_DAY INT64_C(3652)	 /* 1980-01-01, in days since 1970 */
#define LAST_DAY  INT64_C(50404) /* 2107-12-31 */

static bool leap(uint32_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

static uint32_t month_days(uint32_t year, uint32_t month)
{
	static const uint8_t days[12] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && leap(year) ? 1U : 0U);
}

void fat_time_put(int64_t seconds, uint16_t *date, uint16_t *time)
{
	uint32_t year = 1980, month = 1, day, rest;

	if (seconds < FIRST_DAY * DAY)
		seconds = FIRST_DAY * DAY;
	if (seconds >= (LAST_DAY + 1) * DAY)
		seconds = (LAST_DAY + 1) * DAY - 1;
	day = (uint32_t)(seconds / DAY - FIRST_DAY);
	rest = (uint32_t)(seconds % DAY);
	for (; day >= (leap(year) ? 366U : 365U); year++)
		day -= leap(year) ? 366 : 365;
	for (; day >= month_days(year, month); month++)
		day -= month_days(year, month);
	*date = (uint16_t)((year - 1980) << 9 | month << 5 | (day + 1));
	*time = (uint16_t)(rest / 3600 << 11 | rest / 60 % 60 << 5 | rest % 60 / 2);
}

/* What cannot be a date is the first there is. */
int64_t fat_time_get(uint16_t date, uint16_t time)
{
	uint32_t year = 1980 + (date >> 9), month = date >> 5 & 15, day = date & 31;
	int64_t days = FIRST_DAY;

	if (month < 1 || month > 12 || day < 1)
		return FIRST_DAY * DAY;
	for (uint32_t y = 1980; y < year; y++)
		days += leap(y) ? 366 : 365;
	for (uint32_t m = 1; m < month; m++)
		days += month_days(year, m);
	days += day - 1;
	return days * DAY + (time >> 11) * 3600 + (time >> 5 & 63) * 60 + (time & 31) * 2;
}
