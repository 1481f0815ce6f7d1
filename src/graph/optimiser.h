/* SPDX-License-Identifier: MIT
 *
 * Appends the optimiser as nodes: the norm of all gradients, clipping, AdamW (Loshchilov and Hutter
 * 2019, as torch.optim.AdamW computes it), and the clamp of the logit scale.
 *
 * Weights are updated in ranges of memory that hold many weights, so that a step takes few
 * dispatches. A weight and its gradient therefore each have two tensors in a graph that also
 * computes gradients: one for itself, and one for the range in which it lies. This is safe because
 * a node starts only after all nodes before it have finished, whichever tensors they wrote, and
 * because the nodes of the optimiser come last.
 */
#ifndef VKCLIP_GRAPH_OPTIMISER_H
#define VKCLIP_GRAPH_OPTIMISER_H

#include "graph/graph.h"

/* These are the indices of the values of the input `step` [8], which the host writes before every
 * step, and of `clip` [8], in which the op CLIP sets two more values. */
enum optimiser_value {
    OPTIMISER_RATE,        /* learning rate */
    OPTIMISER_CORRECTION1, /* 1 / (1 - beta1^k) for step number k = 1, 2, ... */
    OPTIMISER_CORRECTION2, /* 1 / (1 - beta2^k) */
    OPTIMISER_MOST_NORM,   /* gradients of a greater norm are scaled down to it; 0: never */
    OPTIMISER_UNSCALE,     /* what gradients are multiplied by first: 1 / loss scale */
    OPTIMISER_FACTOR, /* from CLIP: UNSCALE times the clipping; 0 where the norm is not finite */
    OPTIMISER_NORM,   /* from CLIP: the norm of the gradients times UNSCALE */
    OPTIMISER_VALUES = 8
};

struct adamw {
    float beta1, beta2, epsilon, decay;
};

/* A range of memory that the optimiser updates with one node. */
struct optimiser_range {
    uint32_t elements;
    bool decayed;                    /* by adamw.decay */
    int weights, gradients, moments; /* states [n], [n] and [n,2], made by optimiser_append */
    int averages;                    /* state [n], made by optimiser_append_averages; -1: none */
};

/* The host writes and reads these tensors; enum optimiser_value names their values. */
struct optimiser {
    int step; /* input */
    int clip; /* result */
};

/* Appends a step over all ranges and makes their states. A step changes nothing where a gradient is
 * not finite. After the step `logit_scale` is clamped to the range from 0 to ln 100; -1 means that
 * there is no logit scale. */
struct optimiser optimiser_append(struct graph *graph, struct adamw adamw,
                                  struct optimiser_range *ranges, size_t count, int logit_scale);
/* Appends after an optimiser what moves exponential averages towards the updated weights, as timm's
 * ModelEmaV3 does: of an average the fraction `decay` stays. A step that changes no weight leaves
 * the averages too. */
void optimiser_append_averages(struct graph *graph, const struct optimiser *optimiser, float decay,
                               struct optimiser_range *ranges, size_t count);

#endif
