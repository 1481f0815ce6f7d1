/* SPDX-License-Identifier: MIT
 *
 * Writes bytes as base64 (RFC 4648, section 4), by which bytes that are not UTF-8 go through JSON.
 */
#ifndef VKCLIP_BASE_BASE64_H
#define VKCLIP_BASE_BASE64_H

#include <stddef.h>

/* Both return new memory with a NUL after the last byte, or NULL when out of memory. */
char *base64_encode(const void *data, size_t size);
/* Sets *size to the number of bytes. Returns NULL also for a text that is not base64. */
char *base64_decode(const char *text, size_t *size);

#endif
