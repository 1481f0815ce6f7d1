/* SPDX-License-Identifier: MIT
 *
 * Converts between days and dates of the Gregorian calendar, which the C library does for the years
 * and the time zone of the system only. Seconds are counted from the beginning of 1970, in local
 * time, as cameras write it; no time zone is known for them.
 */
#ifndef VKCLIP_BASE_CALENDAR_H
#define VKCLIP_BASE_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

enum { CALENDAR_DAY = 24 * 60 * 60 }; /* seconds */

/* Returns the days from 1970-01-01 to a day; months and days count from 1. */
int64_t calendar_days(int64_t year, int64_t month, int64_t day);
int64_t calendar_days_in_month(int64_t year, int64_t month);
/* Finds the date of a day. */
void calendar_date(int64_t days, int64_t *year, int64_t *month, int64_t *day);
/* Returns the local time at a moment of universal time, in seconds. */
int64_t calendar_local(int64_t seconds);

/* Reads 2024, 2024-07, 2024-07-31, or 2024-07-31T12:30 or 2024-07-31T12:30:59 (also with a space
 * for the T): seconds from 1970 to the beginning of that year, month, day, minute or second. There
 * is no time zone, as in what cameras write. False: the text is no date. */
bool calendar_read(const char *text, int64_t *seconds);
/* Writes the day of a time as 2024-07-31. */
void calendar_write_day(int64_t seconds, char text[32]);

#endif
