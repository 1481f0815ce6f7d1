/* SPDX-License-Identifier: MIT
 *
 * Reads JSON as Python's json module writes it: with NaN, Infinity and -Infinity, which the format
 * does not have, and with halves of surrogate pairs in strings, which are no characters. Compares
 * strings in it.
 */
#ifndef VKCLIP_FORMAT_JSON_H
#define VKCLIP_FORMAT_JSON_H

#include <jansson.h>
#include <stdbool.h>

/* Makes null of the three words, and U+FFFD of half a surrogate pair, as OpenCLIP's tokenizer does
 * by ftfy. Returns NULL if the text is not JSON otherwise, or when out of memory. `flags` are those
 * of jansson; `error` may be NULL. */
json_t *json_read(const char *text, size_t size, size_t flags, json_error_t *error);
/* Makes strings of the three words, so that a reader which expects a number there refuses them, and
 * refuses halves of surrogate pairs and duplicate keys. */
json_t *json_read_strict(const char *text, size_t size, json_error_t *error);

/* Tells whether a value, which may be NULL, is this string. */
bool json_is_text(const json_t *value, const char *text);

#endif
