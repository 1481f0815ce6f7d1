/* SPDX-License-Identifier: MIT
 *
 * Reads JSON that clients send, which may be neither deep nor so full of small values that they
 * take many times the memory of the text.
 */
#ifndef VKCLIP_SERVER_STRICT_JSON_H
#define VKCLIP_SERVER_STRICT_JSON_H

#include <jansson.h>
#include <stddef.h>

/* Estimates the memory that the values take, strings included. Errors: EINVALID (nothing, more than
 * 64 levels, more than 400,000 values, of which an object or an array counts as nine). */
int strict_json_measure(const char *text, size_t size, size_t *bytes);
/* Reads an object or an array whose size was measured. Errors: EINVALID (malformed, a key twice).
 */
int strict_json_read(const char *text, size_t size, json_t **json);

#endif
