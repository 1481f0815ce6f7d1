/* SPDX-License-Identifier: MIT
 *
 * Reads JSON that clients send, which may be neither deep nor so full of small values that they
 * take many times the memory of the text.
 */
#ifndef VKCLIP_SERVER_STRICT_JSON_H
#define VKCLIP_SERVER_STRICT_JSON_H

#include <jansson.h>

/* Reads an object or an array. Errors: EINVALID (malformed, a key twice, more than 64 levels, more
 * than 200,000 values). */
int strict_json_read(const char *text, size_t size, json_t **json);

#endif
