/* SPDX-License-Identifier: MIT
 *
 * Reads JSON as Python's json module writes it: with NaN, Infinity and -Infinity, which the format
 * does not have. They become null.
 */
#ifndef VKCLIP_FORMAT_JSON_H
#define VKCLIP_FORMAT_JSON_H

#include <jansson.h>

/* Returns NULL if the text is not JSON otherwise, or when out of memory. `error` may be NULL. */
json_t *json_read(const char *text, size_t size, json_error_t *error);

#endif
