/* SPDX-License-Identifier: MIT
 *
 * Reads strict JSON at once, and only what that refuses a second time, with the three words
 * replaced outside strings.
 */
#include "format/json.h"
#include "base/array.h"

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

/* Copies a text with null for the three words, or with the words as strings. `copy` has room for
 * twice the size, which a string of the shortest word fits into. */
static size_t replace_words(const char *text, size_t size, bool strings, char *copy)
{
    bool string = false;
    size_t length = 0;
    for (size_t i = 0; i < size;) {
        const size_t word = string ? 0 : match_word(text + i, size - i);
        if (word && strings) {
            copy[length++] = '"';
            memcpy(copy + length, text + i, word);
            length += word;
            copy[length++] = '"';
        } else if (word) {
            memcpy(copy + length, "null", 4);
            length += 4;
        }
        i += word;
        if (word)
            continue;
        string = string != (text[i] == '"');
        if (string && text[i] == '\\' && i + 1 < size)
            copy[length++] = text[i++];
        copy[length++] = text[i++];
    }
    return length;
}

bool json_is_text(const json_t *value, const char *text)
{
    return json_is_string(value) && !strcmp(json_string_value(value), text);
}

static json_t *read_words(const char *text, size_t size, size_t flags, bool strings,
                          json_error_t *error)
{
    json_t *json = json_loadb(text, size, flags, error);
    char *copy = json || size > SIZE_MAX / 2 - 1 ? NULL : malloc(2 * size + 1);
    if (copy)
        json = json_loadb(copy, replace_words(text, size, strings, copy), flags, error);
    free(copy);
    return json;
}

json_t *json_read(const char *text, size_t size, json_error_t *error)
{
    return read_words(text, size, 0, false, error);
}

json_t *json_read_strict(const char *text, size_t size, json_error_t *error)
{
    return read_words(text, size, JSON_REJECT_DUPLICATES, true, error);
}
