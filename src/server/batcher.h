/* SPDX-License-Identifier: MIT
 *
 * One thread encodes for all requests: it joins texts of several requests into one batch of the
 * device, and pictures into another.
 */
#ifndef VKCLIP_SERVER_BATCHER_H
#define VKCLIP_SERVER_BATCHER_H

#include "vkclip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct batcher;
struct request;

/* What one request asks of one tower of a model. `results` and `errors` have an entry per item. */
struct batch_job {
    struct vkclip_model *model;
    enum vkclip_tower tower;
    size_t dim; /* of the embeddings */
    size_t count;
    const char *const *texts;     /* [count] of the text tower; NULL: it has tokens */
    const int32_t *const *tokens; /* [count][token_count] */
    size_t token_count;
    const float
        *pixel_values; /* [count,3,S,S] of the image tower, as vkclip_preprocess makes them */
    size_t pixels;     /* 3*S*S */
    bool raw;          /* Embeddings keep their length. */
    float *embeds;     /* [count,dim] */
};

/* What the batcher has done. */
struct batcher_counts {
    uint64_t batches[2], items[2]; /* by tower */
    double seconds[2];             /* that batches took */
    size_t waiting;                /* items */
};

int batcher_open(uint32_t batch_size, double wait_seconds, struct batcher **batcher);
void batcher_close(struct batcher **batcher);
/* Encodes and waits, but not beyond the request's time (ECANCELLED). An item that fails fails the
 * job, with the thread's last error. */
int batcher_run(struct batcher *batcher, struct request *request, const struct batch_job *job);
void batcher_get_counts(struct batcher *batcher, struct batcher_counts *counts);

#endif
