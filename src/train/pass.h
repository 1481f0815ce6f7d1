/* SPDX-License-Identifier: MIT
 *
 * Builds the graphs that a training step computes. A pass is a graph that one plan runs, together
 * with the indices of the tensors that the host writes or reads. A batch that is computed at once
 * needs one pass with towers, objective, gradients and optimiser; a batch that is cut into
 * micro-batches needs one pass for each of them.
 */
#ifndef VKCLIP_TRAIN_PASS_H
#define VKCLIP_TRAIN_PASS_H

#include "graph/grad.h"
#include "graph/optimiser.h"
#include "model/tensors.h"
#include "model/tower.h"

/* Every member except `batch` may be zero. */
struct train_params {
    uint32_t batch;             /* pairs per step */
    uint32_t micro_batch;       /* pairs computed at once, a divisor of `batch`; 0: all */
    struct adamw adamw;         /* OpenCLIP uses 0.9, 0.98, 1e-6, 0.2. */
    float grad_clip_norm;       /* 0: gradients are not clipped */
    float ema_decay;            /* of averages of the weights; 0: there are none */
    bool freeze_bn_stats;       /* batch norm uses its running statistics and leaves them */
    bool lock_image, lock_text; /* a tower whose weights stay (LiT, Zhai et al. 2022) */
    /* groups of a locked tower's tensors that are trained all the same, from the last one on */
    uint32_t unlocked_image, unlocked_text;
    bool recompute; /* blocks are computed again for their gradients, instead of keeping their
                     * activations in memory */
    bool mixed; /* activations and their gradients are fp16; weights, their gradients and moments,
                 * and the objective are fp32 (Micikevicius et al. 2018) */
    uint64_t pairs_bytes; /* of the matrix of pairs that a step of micro-batches holds at once for
                           * the sigmoid loss; 0: PASS_PAIRS_BYTES */
    bool softmax; /* A model with logit_bias is trained with the softmax loss, not the sigmoid one.
                   */
};

/* The sigmoid loss needs no statistics of all pairs, so that a step of micro-batches computes it
 * for some pictures after the others, each time with all texts. This limit takes a step of 8192
 * pairs at once; 32768 pairs, whose matrix has 4 GiB, more than many devices bind, take sixteen
 * parts. */
#define PASS_PAIRS_BYTES ((uint64_t)256 << 20)
/* Returns how many pictures the loss of a step of micro-batches is computed for at once. */
uint32_t pass_loss_rows(const struct config *config, const struct train_params *params);
/* Returns the number of pairs that a tower computes at once. */
uint32_t pass_micro_batch(const struct train_params *params);
/* Tells whether a step is one pass. */
bool pass_is_whole(const struct train_params *params);
/* Tells whether all weights of a tower stay unchanged. */
bool pass_is_locked(const struct train_params *params, enum tower tower);
/* Tells whether a tensor stays unchanged, as its tower or its group of tensors does. */
bool pass_locks(const struct train_params *params, const struct model_tensor *tensor);

/* Tells whether a step moves batch norm's running statistics. */
bool pass_moves_statistics(const struct config *config, const struct train_params *params);

/* Indices into the graph's tensors; -1 means that the pass has no such tensor. */
struct pass_tensors {
    struct tower_tensors towers[TOWER_COUNT];
    struct grad_inputs sorted_ids; /* inputs: token ids and positions in another order */
    /* A tower computes the normalized embeddings [B,D], which the objective reads; the objective
     * computes their gradients, from which a tower's gradients follow. */
    int features[TOWER_COUNT], gradients[TOWER_COUNT];
    int logit_scale; /* weight */
    int logit_bias;  /* weight; -1: the loss is that of the softmax */
    int loss_scale;  /* input */
    int loss;        /* result */
    struct optimiser optimiser;
};

struct pass {
    struct graph graph;
    struct pass_tensors tensors;
    struct optimiser_range *ranges; /* the optimiser's, for parameters_bind; NULL without one */
};

struct parameters;

/* Each function builds a new pass, whose graph.error says whether that failed; pass_close frees the
 * pass even then. The whole pass gets its optimiser from pass_append_optimiser. */
void pass_build_whole(const struct config *config, const struct train_params *params,
                      struct pass *pass);
/* Builds a tower over a micro-batch that computes features, or the gradients of its weights from
 * the gradients of the features. */
void pass_build_tower(const struct config *config, const struct train_params *params,
                      enum tower tower, bool gradient, struct pass *pass);
/* Builds the objective over the features of pass_loss_rows pictures, of which picture i is that of
 * text i, and of the texts of the whole batch, and the features' gradients. */
void pass_build_loss(const struct config *config, const struct train_params *params,
                     struct pass *pass);
/* Builds a pass that has only an optimiser. */
void pass_build_update(const struct parameters *parameters, const struct train_params *params,
                       struct pass *pass);
/* Appends the optimiser to a whole pass. */
void pass_append_optimiser(const struct parameters *parameters, const struct train_params *params,
                           struct pass *pass);
void pass_close(struct pass *pass);

#endif
