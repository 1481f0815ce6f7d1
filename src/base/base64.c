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
    uint8_t values[256]; /* of characters; 64 stands for those that are no digits */
    uint32_t group = 0;
    *size = 0;
    memset(values, 64, sizeof(values));
    for (uint8_t i = 0; i < 64; i++)
        values[(uint8_t)digits[i]] = i;
    for (size_t i = 0; data && i < length; i++) {
        const uint8_t value = i < length - padding ? values[(uint8_t)text[i]] : 0;
        if (value > 63) {
            memory_free(data);
            return NULL;
        }
        group = group << 6 | value;
        for (unsigned k = 0; i % 4 == 3 && k < 3; k++)
            data[(*size)++] = (char)(group >> (16 - 8 * k) & 0xff);
    }
    if (!data)
        return NULL;
    *size -= padding;
    data[*size] = 0;
    return data;
}
