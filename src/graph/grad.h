/* SPDX-License-Identifier: MIT
 *
 * What training appends to a list of nodes: the contrastive objective, the gradients of the nodes
 * before it, the optimiser. Knows no Vulkan, and not what the nodes mean together.
 *
 * Gradients of weights are added to tensors that stay from run to run, "grad." and the weight's
 * name, in the weight's layout, always in fp32. The optimiser reads them and makes them zero.
 */
#ifndef VKCLIP_GRAPH_GRAD_H
#define VKCLIP_GRAPH_GRAD_H

#include "graph/graph.h"

#define GRAD_PREFIX "grad."

/* The symmetric cross-entropy of the paper (figure 3; OpenCLIP's ClipLoss) over all pairs of
 * `image` and `text` [N,D], rows of length one, with `logit_scale` [1], a logarithm. Appends its
 * loss, a tensor [2] whose first value is it, and the gradients of both [N,D]; adds to that of
 * logit_scale unless it is locked. In a mixed graph comes an input "loss_scale" [1], which all
 * gradients are multiplied with. Returns graph->error. */
struct grad_objective {
    int loss, image, text;
};
int grad_objective(struct graph *graph, int image, int text, int logit_scale,
                   struct grad_objective *objective);

/* A tensor and what the objective's gradient by it is. */
struct grad_seed {
    int tensor, gradient;
};
/* With `recompute` what is inside of a segment (graph_begin_segment) is computed again before its
 * gradients, so that only what goes into it is kept.
 * Appends the gradients of the nodes from `first` up to the last there is, given those of their
 * results that the objective reads. Only weights that are not locked, and what lies between them
 * and the seeds, have gradients. With an EMBEDDING comes an input: see grad_sort_ids. Returns
 * graph->error; EUNSUPPORTED for a node that has no gradient (a 3x3 convolution with a stride below
 * another one). */
int grad_backward(struct graph *graph, size_t first, const struct grad_seed *seeds, size_t count,
                  bool recompute);

/* The inputs "text.order" [n] and "text.runs" [n+1,2] of a batch of n token ids: numbers of the
 * tokens by rising id, and for each id that occurs where its tokens begin in that order, then the
 * id; what is left repeats n and -1. Tokens behind `ends[b]` (NULL: none) of each row of `length`
 * get no gradient, as nothing behind a text's end reaches its embedding, and are left out. */
void grad_sort_ids(const int32_t *ids, const int32_t *ends, uint32_t rows, uint32_t length,
                   int32_t *order, int32_t *runs);

/* What the host gives every step of the optimiser, tensor "step" [8]. */
enum grad_step {
    GRAD_RATE,        /* learning rate */
    GRAD_CORRECTION1, /* 1 / (1 - beta1^k) for step number k = 1, 2, ... */
    GRAD_CORRECTION2, /* 1 / (1 - beta2^k) */
    GRAD_MOST_NORM,   /* gradients of a greater norm are scaled down to it; 0: never */
    GRAD_UNSCALE,     /* what gradients are to be multiplied by: 1 / loss scale */
    GRAD_FACTOR,      /* found by CLIP: the same and the clipping; 0 where the norm is not finite */
    GRAD_NORM,        /* found by CLIP: the norm of the gradients, unscaled */
    GRAD_STEP_VALUES = 8
};
struct grad_adamw {
    float beta1, beta2, epsilon, decay;
};
/* AdamW (Loshchilov and Hutter 2019, as torch.optim.AdamW) over parts of the weights: part i is
 * `elements[i]` values called "weights.I", with "gradients.I" and "moments.I" [n,2], decayed where
 * `decayed[i]`. Nothing is changed where a gradient is not finite. Appends the input "step" and the
 * output "clip" [8], and clamps logit_scale to 0 ... ln 100 where `logit_scale` says. */
int grad_optimise(struct graph *graph, const uint32_t *elements, const bool *decayed, size_t parts,
                  struct grad_adamw adamw, bool logit_scale);

#endif
