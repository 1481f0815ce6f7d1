/* SPDX-License-Identifier: MIT
 *
 * Finds a model in an index, and keeps its vectors at hand as the index has them now: in the file
 * beside the index (vectors.h) or in the cache folder, which is extended or made anew when the
 * index has changed, or in memory where no file can be written.
 */
#ifndef VKCLIP_SEARCH_CURRENT_H
#define VKCLIP_SEARCH_CURRENT_H

#include "search/resident.h"
#include "search/store.h"

/* The vectors that an index used last. */
struct current {
    struct store *store;
    const char *path;       /* of the index */
    const char *files_path; /* the beginning of the names of its files of vectors; NULL: none */
    struct workers *workers;
    int64_t model; /* whose vectors they are; 0: none yet */
    struct store_generation generation;
    struct vectors vectors;
    int64_t *ids; /* memory of the vectors, if they do not lie in a file */
    uint16_t *rows;
    struct gpu *gpu; /* which keeps a copy of the vectors; NULL: none does */
    struct tuner *tuner;
    struct resident *resident; /* that copy */
};
/* Forgets the vectors. */
void current_close(struct current *current);
/* Keeps a copy of the vectors on a GPU from now on, also when they change. If that fails, no copy
 * is kept. The GPU must outlive the index. */
int current_keep(struct current *current, struct gpu *gpu, struct tuner *tuner);
/* Finds the best vectors as scan_top does for one query. A device that fails is not used again, and
 * the processor takes its place. */
int current_top(struct current *current, const float *query, size_t top, const uint64_t *allowed,
                struct scan_hit *hits, struct scan_statistics *statistics);

/* Finds the number of a model, or refuses the model if the index does not know it. */
int current_find_model(const struct current *current, const char *identity, const char *name,
                       int64_t *model);
/* Fails with EABSENT, naming the models that the index has, because it has no pictures by this one;
 * `name` stands for the model in the message. */
int current_refuse_model(const struct current *current, const char *name);
/* Gives all vectors of a model of `dim` values. They stay valid until the next call. */
int current_vectors(struct current *current, const char *identity, int64_t model, size_t dim,
                    const struct vectors **vectors);
/* Does the same, and what is read from the store until current_end, which returns its own error or
 * the first one, is what the index had at that moment. After an error nothing is to be ended. */
int current_begin(struct current *current, const char *identity, int64_t model, size_t dim,
                  const struct vectors **vectors);
int current_end(const struct current *current, int error);

#endif
