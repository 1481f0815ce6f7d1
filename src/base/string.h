/* SPDX-License-Identifier: MIT
 *
 * Strings of characters. What a text means to CLIP is in text/.
 */
#ifndef VKCLIP_BASE_STRING_H
#define VKCLIP_BASE_STRING_H

#include "base/error.h"

/* A new string from a format, to be freed; NULL when out of memory. */
char *string_format(const char *format, ...) PRINTF_LIKE(1, 2);
/* A new string: `text` in place of the first "{}" of `template`. NULL if there is no "{}", or when
 * out of memory. */
char *string_fill(const char *template, const char *text);
bool string_begins_with(const char *text, const char *start);
bool string_ends_with(const char *text, const char *end);

#endif
