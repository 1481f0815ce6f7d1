/* SPDX-License-Identifier: MIT
 *
 * Writes three bytes as four characters. Text with other characters, or whose length is no multiple
 * of four, is refused.
 */
#include "base/base64.h"
#include "base/memory.h"

#include <stdint.h>
#include <string.h>

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

char *base64_encode(const void *data, size_t size)
{
    const uint8_t *bytes = data;
    char *text = size < SIZE_MAX / 2 ? memory_alloc((size + 2) / 3 * 4 + 1) : NULL;
    size_t length = 0;
    for (size_t i = 0; text && i < size; i += 3) {
        const size_t left = size - i;
        const uint32_t group = (uint32_t)bytes[i] << 16 |
                               (uint32_t)(left > 1 ? bytes[i + 1] : 0) << 8 |
                               (left > 2 ? bytes[i + 2] : 0);
        text[length++] = digits[group >> 18];
        text[length++] = digits[group >> 12 & 63];
        text[length++] = left > 1 ? digits[group >> 6 & 63] : '=';
        text[length++] = left > 2 ? digits[group & 63] : '=';
    }
    if (text)
        text[length] = 0;
    return text;
}

char *base64_decode(const char *text, size_t *size)
{
    const size_t length = strlen(text);
    size_t padding = 0;
    while (padding < 2 && padding < length && text[length - 1 - padding] == '=')
        padding++;
    char *data = length % 4 ? NULL : memory_alloc(length / 4 * 3 + 1);
    uint32_t group = 0;
    *size = 0;
    for (size_t i = 0; data && i < length; i++) {
        const char *digit = i < length - padding ? strchr(digits, text[i]) : digits;
        if (!digit) {
            memory_free(data);
            return NULL;
        }
        group = group << 6 | (uint32_t)(digit - digits);
        for (unsigned k = 0; i % 4 == 3 && k < 3; k++)
            data[(*size)++] = (char)(group >> (16 - 8 * k) & 0xff);
    }
    if (!data)
        return NULL;
    *size -= padding;
    data[*size] = 0;
    return data;
}
