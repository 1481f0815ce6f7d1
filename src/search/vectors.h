/* SPDX-License-Identifier: MIT
 *
 * All vectors of one model in one file beside the index, which is mapped: a search reads them at
 * the speed of memory, whereas reading them from a database takes ten times as long. The file holds
 * nothing that the index does not hold, so that it may be deleted at any time. A file that is
 * truncated, damaged, of another model or older than the index counts as absent and is written
 * anew.
 *
 * A file is a header of 4096 bytes, the vectors' ids as int64 in ascending order, filled up to a
 * multiple of 4096 bytes, and then the vectors in the order of their ids, as fp16 [count,dim]. All
 * numbers are little-endian.
 */
#ifndef VKCLIP_SEARCH_VECTORS_H
#define VKCLIP_SEARCH_VECTORS_H

#include "base/file.h"
#include "base/workers.h"

/* The vectors of one model. Tests and benchmarks may fill in the first four members with arrays of
 * their own. */
struct vectors {
    const int64_t *ids;   /* ascending */
    const uint16_t *rows; /* fp16 [count,dim], each of unit length */
    size_t count, dim;
    struct file_map map; /* the file that ids and rows lie in, if they do */
};

/* What a file must be made from to be used: a model, by its identity in the index, and the index's
 * generation number of its vectors, which rises whenever they change. */
struct vectors_key {
    const char *model;
    uint64_t generation;
    size_t dim;
};

/* Maps a file. Returns false, without a message, where it is absent, damaged, or has another key.
 */
bool vectors_map(const char *path, const struct vectors_key *key, struct workers *workers,
                 struct vectors *vectors);
void vectors_close(struct vectors *vectors);

/* A file that is being written. Until vectors_write_end, readers see the file that was there. */
struct vectors_file;
/* Begins a file of `count` vectors. */
int vectors_write(const char *path, const struct vectors_key *key, size_t count,
                  struct vectors_file **file);
/* Adds the next vector. Ids must ascend. A failure is kept for vectors_write_end. */
void vectors_add(struct vectors_file *file, int64_t id, const uint16_t *row);
/* Completes the file and puts it in its place, or removes it if the caller passes an `error` or a
 * vector failed or is missing. */
int vectors_write_end(struct vectors_file **file, int error);

#endif
