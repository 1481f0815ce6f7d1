/* SPDX-License-Identifier: MIT
 *
 * A training run on one GPU, step by step: parameters, gradients and moments on the device, and the
 * plans that move them. Where a batch is computed at once, a step is one plan. Where it is cut into
 * micro-batches, their embeddings are computed first, the objective sees them all, and then each
 * micro-batch is computed again for its gradients (GradCache, Gao et al. 2021; OpenCLIP's
 * --accum-freq): the same loss and gradients as at once, but that batch norm sees its micro-batch.
 * Knows nothing of files, schedules or where batches come from.
 */
#ifndef VKCLIP_TRAIN_STEP_H
#define VKCLIP_TRAIN_STEP_H

#include "checkpoint/open.h"
#include "vulkan/gpu.h"
#include "graph/grad.h"

/* Zero is the default but for `batch`. */
struct train_params {
    uint32_t batch;              /* pairs of a step */
    uint32_t micro_batch;        /* pairs at once, a divisor of `batch`; 0: all */
    struct grad_adamw adamw;     /* OpenCLIP's: 0.9, 0.98, 1e-6, 0.2 */
    float grad_clip_norm;        /* 0: none */
    bool freeze_bn_stats;        /* batch norm with its running statistics, which stay */
    bool lock_image, lock_text;  /* a tower whose weights stay (LiT, Zhai et al. 2022) */
    bool checkpoint_activations; /* compute blocks again in place of keeping their activations */
    bool mixed; /* activations and their gradients in fp16; weights, their gradients and moments,
                 * and the objective in fp32 (Micikevicius et al. 2018) */
};

/* Bytes on the device. */
struct train_memory {
    uint64_t weights, gradients, moments;
    uint64_t activations, least; /* of the largest plan, and below which no placement gets */
};
/* What a run needs, without a device. */
int train_measure(const struct config *config, const struct train_params *params,
                  struct train_memory *memory);

struct train;
struct tuner;

/* Uploads the weights; moments are zero. `config` is copied. `gpu` and `tuner`, which may be NULL,
 * must outlive the run. */
int train_open(struct gpu *gpu, struct tuner *tuner, const struct config *config,
               const struct weights *weights, const struct train_params *params,
               struct train **train);
void train_close(struct train **train);

struct train_result {
    float loss;
    float logit_scale; /* the logarithm, before the step */
    float norm;        /* of all gradients together, before clipping */
    float loss_scale;
    bool skipped; /* a gradient was not finite: nothing was changed */
};
/* What the loss is multiplied with before its gradients where these are `mixed`; 1 at first. */
void train_scale_loss(struct train *train, float scale);
/* One step of the optimiser, number `step` from 0 up, at a learning rate. `pixels` [B,3,S,S], `ids`
 * [B,T]: rows of the context's length with their end of text. */
int train_step(struct train *train, const float *pixels, const int32_t *ids, uint64_t step,
               double rate, struct train_result *result);
/* Loss and gradients of a batch, by the loss's scale, added to those there are; nothing else is
 * changed but batch norm's running statistics. */
int train_gradients(struct train *train, const float *pixels, const int32_t *ids,
                    struct train_result *result);

/* What the model has, by the names and shapes of weights.h. */
struct train_parameter {
    char name[64];
    unsigned rank;
    uint64_t shape[4], elements;
    bool trained; /* has gradient and moments */
    bool decayed;
};
size_t train_count(const struct train *train);
const struct train_parameter *train_parameter(const struct train *train, size_t index);

enum train_value { TRAIN_VALUE, TRAIN_GRADIENT, TRAIN_MOMENT1, TRAIN_MOMENT2 };
/* All elements of one, in the shape's order, of a run with no step under way. EINVALID: it is not
 * trained and has no such. */
int train_read(struct train *train, size_t index, enum train_value what, float *values);
int train_write(struct train *train, size_t index, enum train_value what, const float *values);

/* The device's seconds by op, and all of them, for one run of the largest plan. */
int train_profile(struct train *train, double seconds[OP_COUNT]);

#endif
