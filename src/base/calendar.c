/* SPDX-License-Identifier: MIT
 *
 * Converts between days and dates.
 */
#define _POSIX_C_SOURCE 200809L
#include "base/calendar.h"
#include "base/array.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* The year is counted from March, so that the leap day is its last one, and 400 years, which always
 * have the same number of days, are an era. */
int64_t calendar_days(int64_t year, int64_t month, int64_t day)
{
    year -= month <= 2;
    month += month > 2 ? -3 : 9;
    const int64_t era = (year >= 0 ? year : year - 399) / 400, in_era = year - era * 400;
    const int64_t in_year = (153 * month + 2) / 5 + day - 1;
    return era * 146097 + in_era * 365 + in_era / 4 - in_era / 100 + in_year - 719468;
}

int64_t calendar_days_in_month(int64_t year, int64_t month)
{
    const int64_t next_year = month < 12 ? year : year + 1, next = month < 12 ? month + 1 : 1;
    return calendar_days(next_year, next, 1) - calendar_days(year, month, 1);
}

void calendar_date(int64_t days, int64_t *year, int64_t *month, int64_t *day)
{
    /* This is the year or some years too early, since a year has 365 or 366 days. */
    *year = 1970 + (days < 0 ? days / 365 - 1 : days / 366);
    *month = 1;
    while (calendar_days(*year + 1, 1, 1) <= days)
        ++*year;
    while (*month < 12 && calendar_days(*year, *month + 1, 1) <= days)
        ++*month;
    *day = days - calendar_days(*year, *month, 1) + 1;
}

int64_t calendar_local(int64_t seconds)
{
    const time_t moment = (time_t)seconds;
    struct tm local;
#ifdef _WIN32
    if (localtime_s(&local, &moment))
        return seconds;
#else
    if (!localtime_r(&moment, &local))
        return seconds;
#endif
    return calendar_days(local.tm_year + 1900, local.tm_mon + 1, local.tm_mday) * CALENDAR_DAY +
           local.tm_hour * 3600 + local.tm_min * 60 + local.tm_sec;
}

/* Reads exactly `digits` digits. */
static bool read_digits(const char **text, size_t digits, int64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < digits; i++, ++*text) {
        if (**text < '0' || **text > '9')
            return false;
        *value = 10 * *value + (**text - '0');
    }
    return true;
}

bool calendar_read(const char *text, int64_t *seconds)
{
    enum { YEAR, MONTH, DAY, HOUR, MINUTE, SECOND };
    static const struct {
        const char *separators; /* one of them comes before the value */
        int64_t least, most;
    } fields[] = {{"", 1, 9999}, {"-", 1, 12}, {"-", 1, 31},
                  {"T ", 0, 23}, {":", 0, 59}, {":", 0, 59}};
    int64_t values[ARRAY_COUNT(fields)] = {0, 1, 1};
    size_t i = 0;
    for (; !i || *text; i++) {
        if (i == ARRAY_COUNT(fields) || (i && !strchr(fields[i].separators, *text++)))
            return false;
        if (!read_digits(&text, i ? 2 : 4, &values[i]) || values[i] < fields[i].least ||
            values[i] > fields[i].most)
            return false;
    }
    if (i == HOUR + 1 || values[DAY] > calendar_days_in_month(values[YEAR], values[MONTH]))
        return false; /* An hour needs its minutes. */
    *seconds = calendar_days(values[YEAR], values[MONTH], values[DAY]) * CALENDAR_DAY +
               values[HOUR] * 3600 + values[MINUTE] * 60 + values[SECOND];
    return true;
}

void calendar_write_day(int64_t seconds, char text[32])
{
    int64_t year, month, day;
    calendar_date(seconds / CALENDAR_DAY - (seconds % CALENDAR_DAY < 0), &year, &month, &day);
    snprintf(text, 32, "%04d-%02d-%02d", (int)year, (int)month, (int)day);
}
