/* SPDX-License-Identifier: MIT
 *
 * Makes batches for training. The loader's own threads make a batch before the step that needs it.
 * data/sampler chooses the samples, data/augment prepares the pictures, the tokenizer encodes the
 * captions. The batch of a step does not depend on the number of threads or on earlier steps.
 */
#ifndef VKCLIP_DATA_LOADER_H
#define VKCLIP_DATA_LOADER_H

#include "data/augment.h"
#include "data/dataset.h"
#include "text/tokenizer.h"

/* Zero and NULL select the defaults. */
struct loader_params {
    uint32_t batch;   /* B; for prepared batches 0 or the file's */
    uint32_t context; /* T; for prepared batches 0 or the file's */
    uint64_t seed;
    struct image_transform transform; /* for prepared batches only the size counts; 0: the file's */
    struct vkclip_augmentation augment;
    const char *const *templates; /* each caption replaces the "{}" of a random one */
    size_t template_count;
    unsigned threads; /* 0: one less than the processors on which this process may run */
    unsigned ahead;   /* batches made in advance; 0: 2 */
};

struct loader_batch {
    const float *pixels;     /* [B,3,S,S] */
    const int32_t *ids;      /* [B,T], each row from start to end of text, then the pad id */
    const uint64_t *samples; /* [B] numbers in the data set; NULL for prepared batches */
    uint32_t longest;        /* ids up to the end of text in the longest row; prepared batches: T */
};

struct loader_statistics {
    double waited;   /* seconds spent in loader_next */
    uint64_t broken; /* samples that could not be read and were replaced by others */
    uint64_t cut;    /* captions longer than T, which were cut but keep their end of text */
};

struct loader;

/* Opens a loader. The data set and the tokenizer must outlive it. The tokenizer is NULL for
 * prepared batches. */
int loader_open(const struct loader_params *params, const struct dataset *dataset,
                const struct tokenizer *tokenizer, struct loader **loader);
void loader_close(struct loader **loader);

/* Gives the batch of a step, which is valid until the next call, and starts making the batches of
 * the next steps. Warns of the first ten broken samples by name. Fails if a sample and all samples
 * that could replace it are broken. */
int loader_next(struct loader *loader, uint64_t step, struct loader_batch *batch);

uint32_t loader_batch_size(const struct loader *loader); /* B */
uint32_t loader_context(const struct loader *loader);    /* T */
uint64_t loader_pass(const struct loader *loader);       /* steps per pass over the data (epoch) */
struct loader_statistics loader_statistics(const struct loader *loader);

#endif
