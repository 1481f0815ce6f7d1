/* SPDX-License-Identifier: MIT
 *
 * Reads the texts of headers that clients send. The functions know nothing of connections.
 */
#ifndef VKCLIP_SERVER_HEADER_H
#define VKCLIP_SERVER_HEADER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Finds a cookie's value in a Cookie header, which has several. NULL: it is not there. */
const char *header_find_cookie(const char *cookies, const char *name, size_t *length);
/* Measures the name in "NAME", "NAME:PORT" or "[ADDRESS]:PORT". 0: it is none of these. */
size_t header_host_length(const char *host);
/* Copies a parameter of a header such as Content-Type, "type; name=value; name=\"value\"". False:
 * it is not there, or longer than size - 1. */
bool header_find_parameter(const char *header, const char *name, char *value, size_t size);
/* Decodes %41 in place. %00, and what is no such code, stays as it is. Returns the new length. */
size_t header_unescape(char *text);

/* A part of a file. */
struct header_range {
    uint64_t first, size;
    bool partial; /* It is not the whole file because it was asked for. */
};
/* Reads "bytes=FIRST-LAST", "bytes=FIRST-" or "bytes=-COUNT" for a file of `size` bytes. Other
 * forms and several ranges stand for the whole file, which RFC 9110 allows. False: the range lies
 * outside of the file, or ends before it begins. `text` may be NULL. */
bool header_read_range(const char *text, uint64_t size, struct header_range *range);

#endif
