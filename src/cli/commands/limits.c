/* SPDX-License-Identifier: MIT
 *
 * Reads the values of vkclip search's filters.
 */
#include "cli/commands/limits.h"
#include "base/array.h"

#include <errno.h>
#include <float.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
