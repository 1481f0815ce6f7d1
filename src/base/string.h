/* SPDX-License-Identifier: MIT
 *
 * Makes strings of bytes that end with a NUL. What a text means to CLIP is in text/.
 */
#ifndef VKCLIP_BASE_STRING_H
#define VKCLIP_BASE_STRING_H

#include "base/error.h"

/* Makes a new string from a format. The caller frees the string. Returns NULL when out of
 * memory. */
char *string_format(const char *format, ...) PRINTF_LIKE(1, 2);
/* Makes a new string from `template` with `text` in place of its first "{}". Returns NULL if
 * `template` has no "{}", or when out of memory. */
char *string_fill(const char *template, const char *text);
bool string_begins_with(const char *text, const char *start);
bool string_ends_with(const char *text, const char *end);
/* Returns how many of the text's `length` bytes in UTF-8 a message of `limit` bytes can show
 * without cutting within a character. */
size_t string_fit(const char *text, size_t length, size_t limit);

#endif
