/* SPDX-License-Identifier: MIT
 *
 * Reads a file once, as a whole, and hashes it. A file that changes or becomes shorter while it is
 * read is refused; it is read again in the next pass.
 */
#ifndef VKCLIP_SEARCH_FILE_HASH_H
#define VKCLIP_SEARCH_FILE_HASH_H

#include "search/store.h"

/* The caller frees *data. `stamp` is that of the opened file, also after an error if it could be
 * opened, and else all zero. */
int file_hash_read(const char *path, struct store_stamp *stamp, struct store_hash *hash,
                   void **data, size_t *size);

/* Hashes the bytes of a file that are in memory. */
void file_hash_bytes(const void *data, size_t size, struct store_hash *hash);

/* Opens a file for reading, if it is still the one that had this stamp; *file is -1 otherwise. */
void file_hash_open(const char *path, const struct store_stamp *stamp, int *file);

#endif
