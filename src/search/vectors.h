/* SPDX-License-Identifier: MIT
 *
 * All vectors of one model in one file beside the index, which is mapped: a search reads them at
 * the speed of memory, whereas reading them from a database takes ten times as long. The file holds
 * nothing that the index does not hold, so that it may be deleted at any time. A file that is
 * truncated, damaged, of another model or older than the index counts as absent and is written
 * anew.
 *
 * A file is a header of 4096 bytes, the vectors in the order of their ids as fp16 [count,dim],
 * filled up to a multiple of 8 bytes, and then the ids as int64 in ascending order, all in the byte
 * order of the machine.
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

/* What a file was made from: a model, by its identity in the index, and the state of the index. */
struct vectors_key {
    const char *model;
    size_t dim;
    int64_t changes, rewrites; /* see struct store_generation */
};

/* Maps a file. Returns false, without a message, where it is absent, damaged, or of another model
 * or dimension. Sets key->changes and key->rewrites to the state that it was made from. */
bool vectors_map(const char *path, struct vectors_key *key, struct workers *workers,
                 struct vectors *vectors);
void vectors_close(struct vectors *vectors);

/* A file that is being written. Until vectors_write_end, readers see the file that was there. */
struct vectors_file;
int vectors_write(const char *path, const struct vectors_key *key, struct vectors_file **file);
/* Adds the next vectors. Ids must ascend. */
int vectors_add(struct vectors_file *file, const int64_t *ids, const uint16_t *rows, size_t count);
/* Completes the file and puts it in its place, or removes it if the caller passes an `error`, which
 * is then returned, or writing failed. */
int vectors_write_end(struct vectors_file **file, struct workers *workers, int error);

#endif
