/* SPDX-License-Identifier: MIT
 *
 * The decoder follows Unicode's table of well-formed UTF-8: limits on the second byte exclude
 * overlong forms, surrogates and values above U+10FFFF.
 */
#include "text/code_points.h"
#include "base/memory.h"

#include <string.h>
#include <utf8proc.h>

bool code_points_reserve(struct code_points *text, size_t capacity)
{
    if (text->failed || capacity <= text->capacity)
        return !text->failed;
    const size_t larger = capacity + capacity / 2 + 16;
    int32_t *codes = NULL;
    if (larger < SIZE_MAX / sizeof(*codes))
        codes = memory_realloc(text->codes, larger * sizeof(*codes));
    if (!codes) {
        text->failed = true;
        return false;
    }
    text->codes = codes;
    text->capacity = larger;
    return true;
}

void code_points_push(struct code_points *text, int32_t code)
{
    if (text->length < text->capacity || code_points_reserve(text, text->length + 1))
        text->codes[text->length++] = code;
}

void code_points_push_all(struct code_points *text, const int32_t *codes, size_t count)
{
    if (count && code_points_reserve(text, text->length + count)) {
        memcpy(text->codes + text->length, codes, count * sizeof(*codes));
        text->length += count;
    }
}

void code_points_free(struct code_points *text)
{
    memory_free(text->codes);
    *text = (struct code_points){0};
}

/* Returns the number of bytes of a character by its first byte, or 0 if no character begins with
 * that byte. */
static size_t character_length(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    if (first < 0xE0)
        return 2;
    return first < 0xF0 ? 3 : 4;
}

/* Reads one code point and returns the number of bytes that it takes. */
static size_t decode(const uint8_t *bytes, size_t size, int32_t *code)
{
    const uint8_t first = bytes[0];
    const size_t length = character_length(first);
    uint8_t low = 0x80, high = 0xBF;
    *code = 0xFFFD;
    if (!length)
        return 1;
    if (first == 0xE0)
        low = 0xA0;
    if (first == 0xED)
        high = 0x9F;
    if (first == 0xF0)
        low = 0x90;
    if (first == 0xF4)
        high = 0x8F;
    int32_t value = length == 1 ? first : first & (0x7F >> length);
    for (size_t i = 1; i < length; i++) {
        if (i == size || bytes[i] < low || bytes[i] > high)
            return i;
        value = value << 6 | (bytes[i] & 0x3F);
        low = 0x80;
        high = 0xBF;
    }
    *code = value;
    return length;
}

void code_points_push_utf8(struct code_points *text, const char *bytes, size_t size)
{
    for (size_t i = 0; i < size;) {
        int32_t code;
        i += decode((const uint8_t *)bytes + i, size - i, &code);
        code_points_push(text, code);
    }
}

char *code_points_utf8(const struct code_points *text)
{
    char *bytes = memory_alloc(4 * text->length + 1);
    size_t end = 0;
    for (size_t i = 0; bytes && i < text->length; i++)
        end += (size_t)utf8proc_encode_char(text->codes[i], (uint8_t *)bytes + end);
    if (bytes)
        bytes[end] = 0;
    return bytes;
}

bool code_point_is_space(int32_t code)
{
    return (code >= 9 && code <= 13) || code == 0x85 || code == ' ' || code == 0xA0 ||
           (code >= 0x1680 &&
            (utf8proc_category(code) == UTF8PROC_CATEGORY_ZS || code == 0x2028 || code == 0x2029));
}
