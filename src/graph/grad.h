/* SPDX-License-Identifier: MIT
 *
 * Gradients of a list of nodes, appended to the same list: one rule per op, in reverse order of the
 * nodes. Ops without a rule are refused where a weight's gradient would need one.
 *
 * The gradient of a weight is a state of the graph (ROLE_STATE) in the weight's layout, always in
 * fp32; tensor.gradient of the weight says which. Nodes add to it, so that gradients of several
 * runs add up until the optimiser has read them and set them to zero.
 */
#ifndef VKCLIP_GRAPH_GRAD_H
#define VKCLIP_GRAPH_GRAD_H

#include "graph/graph.h"

/* A tensor, and the tensor that holds the objective's gradient by it. */
struct grad_seed {
    int tensor, gradient;
};

/* The inputs that the gradient of an EMBEDDING reads (see grad_sort_ids); -1 where no table of
 * embeddings is trained. */
struct grad_inputs {
    int order; /* [n] */
    int runs;  /* [n+1,2] */
};

/* Appends the gradients of the nodes from `first` up to the last one, given the gradients of those
 * of their results that the objective reads. Weights have a gradient unless they are locked, and so
 * has every tensor between them and the seeds. With `recompute`, the inner results of a segment
 * (graph_begin_segment) are computed again before the segment's gradients, so that only its inputs
 * stay in memory. Sets graph->error to EUNSUPPORTED for a node that has no gradient, such as a 3x3
 * convolution with a stride above another one. */
struct grad_inputs grad_backward(struct graph *graph, size_t first, const struct grad_seed *seeds,
                                 size_t count, bool recompute);

/* The state that the gradient of a weight is added to; it is made when it is first asked for. The
 * tensor may also be what a weight was cast to. */
int grad_weight(struct graph *graph, int weight);
/* Whether a tensor is a weight that is not locked, or was cast from one. */
bool grad_is_trained(const struct graph *graph, int tensor);

/* A matrix within a tensor. */
struct grad_rows {
    int tensor;
    uint32_t rows, columns;
    uint32_t pitch, offset; /* elements from row to row, and before the first row */
};
/* Adds the sum of the rows to the gradient of a weight, if that is trained. */
void grad_sum_rows(struct graph *graph, struct grad_rows matrix, int weight);

/* Fills the inputs of grad_inputs for a batch of `rows` times `length` = n token ids: `order` has
 * the positions of the tokens by rising id, and `runs` has for each id that occurs where its tokens
 * begin in `order`, and the id; the rest of `runs` repeats the number of tokens and -1. Tokens
 * after position ends[b] of row b get no gradient and are left out, as nothing after a text's end
 * reaches its embedding; `ends` may be NULL. */
void grad_sort_ids(const int32_t *ids, const int32_t *ends, uint32_t rows, uint32_t length,
                   int32_t *order, int32_t *runs);

#endif
