/* SPDX-License-Identifier: MIT
 *
 * What a training step computes, as graphs with handles. A pass is a graph that one plan runs, and
 * the tensors of it that the host writes or reads. Where a batch is computed at once, there is one
 * pass with towers, objective, gradients and optimiser; where it is cut into micro-batches, there
 * is one pass for each of these.
 */
#ifndef VKCLIP_TRAIN_PASS_H
#define VKCLIP_TRAIN_PASS_H

#include "graph/grad.h"
#include "graph/optimiser.h"
#include "model/tower.h"

/* Zero is the default of everything but `batch`. */
struct train_params {
    uint32_t batch;             /* pairs per step */
    uint32_t micro_batch;       /* pairs computed at once, a divisor of `batch`; 0: all */
    struct adamw adamw;         /* OpenCLIP's: 0.9, 0.98, 1e-6, 0.2 */
    float grad_clip_norm;       /* 0: gradients are not clipped */
    bool freeze_bn_stats;       /* batch norm uses its running statistics and leaves them */
    bool lock_image, lock_text; /* a tower whose weights stay (LiT, Zhai et al. 2022) */
    bool recompute; /* blocks are computed again for their gradients, instead of keeping their
                     * activations in memory */
    bool mixed; /* activations and their gradients are fp16; weights, their gradients and moments,
                 * and the objective are fp32 (Micikevicius et al. 2018) */
};

/* Pairs that a tower computes at once. */
uint32_t pass_micro_batch(const struct train_params *params);
/* Whether a step is one pass. */
bool pass_is_whole(const struct train_params *params);
/* Whether the weights of a tower stay. */
bool pass_is_locked(const struct train_params *params, enum tower tower);

/* Indices into the graph's tensors; -1 where the pass has no such tensor. */
struct pass_tensors {
    struct tower_tensors towers[TOWER_COUNT];
    struct grad_inputs sorted_ids; /* inputs: the token ids in another order */
    /* The normalized embeddings [B,D], which a tower computes and the objective reads, and their
     * gradients, which the objective computes and a tower's gradient reads. */
    int features[TOWER_COUNT], gradients[TOWER_COUNT];
    int logit_scale; /* weight */
    int loss_scale;  /* input */
    int loss;        /* result */
    struct optimiser optimiser;
};

struct pass {
    struct graph graph;
    struct pass_tensors tensors;
    struct optimiser_part *parts; /* of the optimiser, for parameters_bind; NULL without one */
};

struct parameters;

/* Each of these builds a new pass, whose graph.error says whether that failed; pass_close frees it
 * in any case. The whole pass has no optimiser yet. */
void pass_build_whole(const struct config *config, const struct train_params *params,
                      struct pass *pass);
/* A tower over a micro-batch: its features, or from their gradients those of its weights. */
void pass_build_tower(const struct config *config, const struct train_params *params,
                      enum tower tower, bool gradient, struct pass *pass);
/* The objective over the features of the whole batch, and the gradients by them. */
void pass_build_loss(const struct config *config, const struct train_params *params,
                     struct pass *pass);
/* A pass with an optimiser only. */
void pass_build_update(const struct parameters *parameters, const struct train_params *params,
                       struct pass *pass);
/* Appends the optimiser to a whole pass. */
void pass_append_optimiser(const struct parameters *parameters, const struct train_params *params,
                           struct pass *pass);
void pass_close(struct pass *pass);

#endif
