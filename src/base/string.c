/* SPDX-License-Identifier: MIT
 *
 * A new string is measured first and allocated at its exact size.
 */
#include "base/string.h"
#include "base/memory.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

char *string_format(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    char *text = length < 0 ? NULL : memory_alloc((size_t)length + 1);
    if (!text)
        return NULL;
    va_start(args, format);
    vsnprintf(text, (size_t)length + 1, format, args);
    va_end(args);
    return text;
}

char *string_fill(const char *template, const char *text)
{
    const char *hole = strstr(template, "{}");
    if (!hole)
        return NULL;
    return string_format("%.*s%s%s", (int)(hole - template), template, text, hole + 2);
}

bool string_begins_with(const char *text, const char *start)
{
    return !strncmp(text, start, strlen(start));
}

bool string_ends_with(const char *text, const char *end)
{
    size_t length = strlen(text), size = strlen(end);
    return length >= size && !strcmp(text + length - size, end);
}

size_t string_fit(const char *text, size_t length, size_t limit)
{
    size_t shown = length < limit ? length : limit;
    while (shown && shown < length && (text[shown] & 0xc0) == 0x80)
        shown--;
    return shown;
}
