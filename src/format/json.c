/* SPDX-License-Identifier: MIT
 *
 * Reads strict JSON at once, and only what that refuses a second time, with the three words
 * replaced outside strings.
 */
#include "format/json.h"
#include "base/array.h"
#include "base/memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Returns the length of the word that stands at `text` and is no JSON, or 0. */
static size_t match_word(const char *text, size_t size)
{
    static const char *const words[] = {"NaN", "Infinity", "-Infinity"};
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        const size_t length = strlen(words[i]);
        if (length <= size && !memcmp(text, words[i], length))
            return length;
    }
    return 0;
}

/* Returns the half of a surrogate pair that is escaped at `text`, or 0. */
static unsigned match_surrogate(const char *text, size_t size)
{
    char digits[5] = "";
    if (size < 6 || text[0] != '\\' || text[1] != 'u')
        return 0;
    memcpy(digits, text + 2, 4);
    const unsigned code =
        strspn(digits, "0123456789abcdefABCDEF") == 4 ? (unsigned)strtoul(digits, NULL, 16) : 0;
    return code >= 0xd800 && code < 0xe000 ? code : 0;
}

/* Returns the length of the escapes of a pair, or of half a pair by itself, at `text`, or 0. */
static size_t match_surrogates(const char *text, size_t size)
{
    const unsigned first = match_surrogate(text, size);
    if (!first)
        return 0;
    return first < 0xdc00 && match_surrogate(text + 6, size - 6) >= 0xdc00 ? 12 : 6;
}

static size_t append(char *copy, size_t length, const char *bytes, size_t size)
{
    memcpy(copy + length, bytes, size);
    return length + size;
}

/* Copies what stands at text[*i] within a string, one character or escape, with U+FFFD for half a
 * surrogate pair unless the text is to be strict. */
static size_t copy_character(const char *text, size_t size, bool strict, size_t *i, char *copy,
                             size_t length)
{
    const size_t halves = match_surrogates(text + *i, size - *i);
    const size_t escape = text[*i] == '\\' && *i + 1 < size ? 2 : 1;
    const size_t taken = halves ? halves : escape;
    const bool replaced = halves == 6 && !strict;
    length = append(copy, length, replaced ? "\\ufffd" : text + *i, taken);
    *i += taken;
    return length;
}

/* Copies a text with null for the three words, and U+FFFD for half a surrogate pair; or, to be
 * strict, with the words as strings. `copy` has room for twice the size, which a string of the
 * shortest word fits into. */
static size_t replace_words(const char *text, size_t size, bool strict, char *copy)
{
    bool string = false;
    size_t length = 0;
    for (size_t i = 0; i < size;) {
        const size_t word = string ? 0 : match_word(text + i, size - i);
        if (word && strict) {
            length = append(copy, length, "\"", 1);
            length = append(copy, length, text + i, word);
            length = append(copy, length, "\"", 1);
        } else if (word) {
            length = append(copy, length, "null", 4);
        }
        i += word;
        if (word)
            continue;
        string = string != (text[i] == '"');
        length = copy_character(text, size, strict, &i, copy, length);
    }
    return length;
}

bool json_is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && !strcmp(json_string_value(value), text);
}

static json_t *read_words(const char *text, size_t size, size_t flags, bool strict,
                          json_error_t *error)
{
    json_t *json = json_loadb(text, size, flags, error);
    char *copy = json || size > SIZE_MAX / 2 - 1 ? NULL : memory_alloc(2 * size + 1);
    if (copy)
        json = json_loadb(copy, replace_words(text, size, strict, copy), flags, error);
    memory_free(copy);
    return json;
}

json_t *json_read(const char *text, size_t size, size_t flags, json_error_t *error)
{
    return read_words(text, size, flags, false, error);
}

json_t *json_read_strict(const char *text, size_t size, json_error_t *error)
{
    return read_words(text, size, JSON_REJECT_DUPLICATES, true, error);
}
