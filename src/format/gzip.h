/* SPDX-License-Identifier: MIT
 *
 * Reads gzip files at any place. The first reading, from the start to the end, notes places from
 * which decompression can begin, every few MiB, with the 32 KiB of text that come before each of
 * them. A later reading begins at the last such place. Several members one after the other, as
 * parallel compressors write them, are one text. Damaged and truncated files are refused.
 */
#ifndef VKCLIP_FORMAT_GZIP_H
#define VKCLIP_FORMAT_GZIP_H

#include "base/file.h"

struct gzip_places;
struct gzip;

/* Tells whether a file begins as a gzip file does. */
bool gzip_is_magic(const uint8_t start[2]);

/* Opens a file that is to be read from the start to the end, and gives the places that are noted
 * meanwhile. */
int gzip_open_first(const struct file_map *map, struct gzip **gzip, struct gzip_places **places);
/* Opens a file that was read before. Several threads may use the same places. */
int gzip_open(const struct file_map *map, const struct gzip_places *places, struct gzip **gzip);
void gzip_close(struct gzip **gzip);
void gzip_free_places(struct gzip_places **places);

/* Reads the next bytes of the text, as many as there are up to `size`. */
int gzip_read_next(struct gzip *gzip, size_t size, void *copy, size_t *count);
/* Reads bytes of the text from `offset` on. Fails if there are not so many. */
int gzip_read(struct gzip *gzip, uint64_t offset, size_t size, void *copy);

#endif
