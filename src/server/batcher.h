/* SPDX-License-Identifier: MIT
 *
 * One thread encodes for all requests: it joins texts of several requests into one batch of the
 * device, and pictures into another.
 */
#ifndef VKCLIP_SERVER_BATCHER_H
#define VKCLIP_SERVER_BATCHER_H

#include "base/error.h"
#include "base/thread.h"
#include "vkclip.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct batcher;
struct pool;
struct request;

/* What one request asks of one tower of a model, and its place in the queue. The caller sets the
 * first part, and everything belongs to the batcher from batcher_start to the end of batcher_wait.
 */
struct batch_job {
    struct vkclip_model *model;
    enum vkclip_tower tower;
    size_t dim; /* of the embeddings */
    size_t count;
    const char **texts;     /* [count] of the text tower; NULL: it has tokens */
    const int32_t **tokens; /* [count][token_count] */
    size_t token_count;
    float *pixel_values; /* [count,3,S,S] of the image tower, as vkclip_preprocess makes them */
    size_t pixels;       /* 3*S*S */
    bool raw;            /* Embeddings keep their length. */
    float *embeds;       /* [count,dim] */
    uint64_t client;     /* whose jobs share a client's turns; 0: the job has turns of its own */

    size_t next;    /* item to be computed next */
    size_t running; /* items in the batch that the device computes */
    size_t done;
    size_t turns; /* that the client had in the batch that is put together */
    double since;
    bool abandoned; /* The request's time is over, so that nothing new of it begins. */
    int error;
    char message[ERROR_MESSAGE];
    struct condition ended;
    struct batch_job *later;
};

enum { BATCHER_SIZES = 11 };

/* What the batcher has done. */
struct batcher_counts {
    uint64_t batches[2], items[2];    /* by tower */
    uint64_t sizes[2][BATCHER_SIZES]; /* batches of at most 1, 2, 4... items, and of more */
    double seconds[2];                /* that batches took */
    size_t waiting;                   /* items */
    bool lost;                        /* The device was lost when it was last used. */
};

/* `batch_size` is the most items of a batch. An item waits at most `wait_seconds` for others, and
 * only while the pool works on requests that may bring some. */
int batcher_open(uint32_t batch_size, double wait_seconds, struct pool *pool,
                 struct batcher **batcher);
void batcher_close(struct batcher **batcher);
void batcher_start(struct batcher *batcher, struct batch_job *job);
/* Waits until a job that was started is encoded, but not beyond the request's time (ECANCELLED). An
 * item that fails fails the job, with the thread's last error. */
int batcher_wait(struct batcher *batcher, struct request *request, struct batch_job *job);
void batcher_get_counts(struct batcher *batcher, struct batcher_counts *counts);

#endif
