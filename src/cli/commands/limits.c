/* SPDX-License-Identifier: MIT
 *
 * Reads the values of vkclip search's filters.
 */
#include "cli/commands/limits.h"
#include "base/array.h"
#include "base/calendar.h"

#include <errno.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

bool limits_read_date(const char *text, int64_t *seconds)
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

void limits_write_day(int64_t seconds, char text[32])
{
    int64_t year, month, day;
    calendar_date(seconds / CALENDAR_DAY - (seconds % CALENDAR_DAY < 0), &year, &month, &day);
    snprintf(text, 32, "%04d-%02d-%02d", (int)year, (int)month, (int)day);
}

bool limits_read_place(const char *text, double place[3])
{
    static const double most[3] = {90, 180, DBL_MAX};
    for (size_t i = 0; i < 3; i++) {
        char *end;
        place[i] = strtod(text, &end);
        if (end == text || *end != (i < 2 ? ',' : 0) || !(place[i] <= most[i]) ||
            !(i < 2 ? place[i] >= -most[i] : place[i] > 0))
            return false;
        text = end + 1;
    }
    return true;
}

static bool read_pixels(const char *text, int end, const char **rest, uint32_t *pixels)
{
    char *after;
    errno = 0;
    const unsigned long long value = strtoull(text, &after, 10);
    if (*text < '0' || *text > '9' || *after != end || errno || !value || value > UINT32_MAX)
        return false;
    *pixels = (uint32_t)value;
    *rest = after + 1;
    return true;
}

bool limits_read_size(const char *text, uint32_t *width, uint32_t *height)
{
    const char *rest;
    if (!strchr(text, 'x')) {
        const bool good = read_pixels(text, 0, &rest, width);
        *height = *width;
        return good;
    }
    return read_pixels(text, 'x', &rest, width) && read_pixels(rest, 0, &rest, height);
}
