/* SPDX-License-Identifier: MIT
 *
 * Batches for training, made by threads of its own ahead of the step that asks for them: which
 * samples by sampler.h, pictures by augment.h, captions by the tokenizer. The batch of a step is
 * the same whatever the number of threads and the steps asked for before.
 */
#ifndef VKCLIP_DATA_LOADER_H
#define VKCLIP_DATA_LOADER_H

#include "data/augment.h"
#include "data/dataset.h"
#include "text/tokenizer.h"

/* Zero and NULL are the defaults. */
struct loader_params {
    uint32_t batch;   /* B; for preprocessed batches theirs, or 0 */
    uint32_t context; /* T; for preprocessed batches theirs, or 0 */
    uint64_t seed;
    struct image_transform transform; /* for preprocessed batches only the size, or 0 */
    struct vkclip_augmentation augment;
    const char *const *templates; /* one at random is set around each caption, at its "{}" */
    size_t template_count;
    unsigned threads; /* 0: one less than this process may run on */
    unsigned ahead;   /* batches made in advance; 0: 2 */
};

struct loader_batch {
    const float *pixels;     /* [B,3,S,S] */
    const int32_t *ids;      /* [B,T], each row from start to end of text, then the pad id */
    const uint64_t *samples; /* [B] of the data set; preprocessed batches: NULL */
    uint32_t longest;        /* ids up to the end of text in the longest row; preprocessed: T */
};

struct loader_statistics {
    double waited;   /* seconds that loader_next took */
    uint64_t broken; /* samples that could not be read, and were replaced by others */
    uint64_t cut;    /* captions longer than T, cut off with their end of text kept */
};

struct loader;

/* The data set and the tokenizer (NULL for preprocessed batches) outlive the loader. */
int loader_open(const struct loader_params *params, const struct dataset *dataset,
                const struct tokenizer *tokenizer, struct loader **loader);
void loader_close(struct loader **loader);

/* The batch of a step, valid until the next call; those of the next steps are begun. Broken
 * samples are warned of with their names, the first ten. Fails where a sample and all that could
 * replace it are broken. */
int loader_next(struct loader *loader, uint64_t step, struct loader_batch *batch);

uint32_t loader_batch_size(const struct loader *loader); /* B */
uint32_t loader_context(const struct loader *loader);    /* T */
uint64_t loader_pass(const struct loader *loader);       /* steps of a pass over the data (epoch) */
struct loader_statistics loader_statistics(const struct loader *loader);

#endif
