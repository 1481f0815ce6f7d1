/* SPDX-License-Identifier: MIT
 *
 * Appends the gradients of a list of nodes to the same list: one rule per op, in reverse order of
 * the nodes. Ops without a rule are refused where a weight's gradient would need one.
 *
 * The gradient of a weight is a state of the graph (ROLE_STATE) in the weight's layout, always in
 * fp32; tensor.gradient of the weight is its index. Nodes add to the state, so that gradients of
 * several runs add up until the optimiser has read the sum and set it to zero.
 */
#ifndef VKCLIP_GRAPH_GRAD_H
#define VKCLIP_GRAPH_GRAD_H

#include "graph/graph.h"

/* A seed is a tensor and the tensor that holds the objective's gradient with respect to it. */
struct grad_seed {
    int tensor, gradient;
};

/* The gradients of EMBEDDINGs read inputs that the host fills with grad_sort_ids, for each of them
 * from its ids. */
#define GRAD_TABLES 2
struct grad_inputs {
    size_t count; /* of EMBEDDINGs whose tables are trained */
    struct grad_sorted {
        int ids;   /* [B,T], an input of the forward pass; n = B T */
        int order; /* [n] */
        int runs;  /* [n+1,2] */
    } sorted[GRAD_TABLES];
};

/* Appends the gradients of the nodes from `first` up to the last one, given the gradients of those
 * of their results that the objective reads. Every weight that is not locked gets a gradient, and
 * so does every tensor between such a weight and the seeds. With `recompute`, the inner results of
 * a segment (graph_begin_segment) are computed again before the segment's gradients, so that only
 * its inputs stay in memory. Sets graph->error to EUNSUPPORTED for a node that has no gradient,
 * such as a 3x3 convolution of stride 2 whose input needs a gradient. */
struct grad_inputs grad_backward(struct graph *graph, size_t first, const struct grad_seed *seeds,
                                 size_t count, bool recompute);

/* Appends the relevance [B,T] of every token for an objective, given the gradient of that by the
 * last result of the graph, and returns its index. It is Chefer, Gur and Wolf's (2021): the row of
 * the pooled token of R = R + A R over the `layers` last blocks, where A is the mean over the heads
 * of what attention's weights and their gradients give together where that is positive. A pool
 * comes before the blocks, as what tokens have in it in place of that row. Locks all weights.
 * Sets graph->error to EUNSUPPORTED where no node attends. */
int grad_relevance(struct graph *graph, struct grad_seed seed, uint32_t layers);

/* Returns the state to which the gradient of a weight is added, and makes the state at the first
 * call. The tensor may also be the result of casting a weight. */
int grad_weight(struct graph *graph, int weight);
/* Tells whether a tensor is a weight that is not locked, or was cast from such a weight. */
bool grad_is_trained(const struct graph *graph, int tensor);

/* This is a matrix within a tensor, whose rows may have other values between them. */
struct grad_rows {
    int tensor;
    uint32_t rows, columns;
    uint32_t pitch, offset; /* elements from row to row, and before the first row */
};
/* Adds the sum of the matrix's rows to the gradient of a weight, if the weight is trained. */
void grad_sum_rows(struct graph *graph, struct grad_rows matrix, int weight);

/* Fills a pair of inputs of grad_inputs for a batch of `rows` times `length` = n token ids: `order`
 * has the positions of the tokens by ascending id, and `runs` has, for each id that occurs, where
 * its tokens begin in `order`, and the id; the rest of `runs` repeats the number of tokens and -1.
 * Tokens after position ends[b] of row b get no gradient and are left out, because nothing after a
 * text's end affects its embedding. `ends` may be NULL. */
void grad_sort_ids(const int32_t *ids, const int32_t *ends, uint32_t rows, uint32_t length,
                   int32_t *order, int32_t *runs);

#endif
