/* SPDX-License-Identifier: MIT */
#include "server/header.h"
#include "base/string.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char digits[] = "0123456789";

const char *header_find_cookie(const char *cookies, const char *name, size_t *length)
{
    const size_t name_length = strlen(name);
    for (const char *next = cookies; next; next = strchr(next, ';')) {
        next += strspn(next, "; ");
        if (strncmp(next, name, name_length) || next[name_length] != '=')
            continue;
        next += name_length + 1;
        *length = strcspn(next, "; ");
        return next;
    }
    return NULL;
}

size_t header_host_length(const char *host)
{
    const bool bracket = *host == '[';
    size_t length = bracket ? strcspn(host, "]") : strcspn(host, ":");
    length += bracket && host[length];
    const char *port = host + length;
    if (*port && (*port != ':' || !port[1] || port[1 + strspn(port + 1, digits)]))
        return 0;
    return bracket && host[length - 1] != ']' ? 0 : length;
}

/* Copies a value with or without quotes, and moves *text behind it. False: it does not fit, or its
 * quotes do not end. */
static bool copy_value(const char **text, char *value, size_t size)
{
    const char *next = *text;
    const bool quoted = *next == '"';
    const char *const ends = quoted ? "\"" : "; \t";
    size_t length = 0;
    for (next += quoted; *next && !strchr(ends, *next); next++) {
        next += quoted && *next == '\\' && next[1];
        if (length < size)
            value[length++] = *next;
    }
    const bool good = length < size && (!quoted || *next);
    value[good ? length : 0] = 0;
    *text = next + (quoted && *next);
    return good;
}

bool header_find_parameter(const char *header, const char *name, char *value, size_t size)
{
    const size_t name_length = strlen(name);
    header += strcspn(header, ";");
    while (*header) {
        header += strspn(header, "; \t");
        const size_t length = strcspn(header, "=; \t");
        const bool found = length == name_length && !strncasecmp(header, name, length);
        header += length;
        if (*header != '=')
            continue;
        header++;
        const bool good = copy_value(&header, value, size);
        if (found)
            return good;
    }
    return false;
}

static int hex_value(char digit)
{
    static const char hex[] = "0123456789abcdef0123456789ABCDEF";
    const char *place = digit ? strchr(hex, digit) : NULL;
    return place ? (int)((place - hex) % 16) : -1;
}

size_t header_unescape(char *text)
{
    char *end = text, *const start = text;
    for (; *text; text++) {
        const int high = *text == '%' ? hex_value(text[1]) : -1;
        const int low = high >= 0 ? hex_value(text[2]) : -1;
        if (low >= 0 && (high || low)) {
            *end++ = (char)(high * 16 + low);
            text += 2;
        } else {
            *end++ = *text;
        }
    }
    *end = 0;
    return (size_t)(end - start);
}

/* Reads a number, which is the largest one where it has too many digits. */
static bool read_number(const char **text, uint64_t *number)
{
    char *end;
    if (!**text || !strchr(digits, **text))
        return false;
    *number = strtoull(*text, &end, 10);
    *text = end;
    return true;
}

bool header_read_range(const char *text, uint64_t size, struct header_range *range)
{
    static const char unit[] = "bytes=";
    uint64_t first = 0, last = 0;
    *range = (struct header_range){0, size, false};
    if (!text || !string_begins_with(text, unit))
        return true;
    text += strlen(unit);
    const bool has_first = read_number(&text, &first);
    if (*text++ != '-')
        return true;
    const bool has_last = read_number(&text, &last);
    if (*text || (!has_first && !has_last))
        return true;
    range->partial = true;
    range->first = first;
    if (!has_first) {
        range->size = last < size ? last : size;
        range->first = size - range->size;
    } else if (first < size && (!has_last || first <= last)) {
        range->size = (has_last && last < size ? last + 1 : size) - first;
    } else {
        range->size = 0;
    }
    return range->size;
}
