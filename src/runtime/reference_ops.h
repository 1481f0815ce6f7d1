/* SPDX-License-Identifier: MIT
 *
 * Declares one function per op. Ops of inference are in reference.c, ops of training in
 * reference_training.c.
 */
#ifndef VKCLIP_RUNTIME_REFERENCE_OPS_H
#define VKCLIP_RUNTIME_REFERENCE_OPS_H

#include "graph/graph.h"

/* A node with the values of its tensors, which every function gets. */
struct ref {
    const struct node *node;
    const struct tensor *x, *second, *third; /* the inputs; NULL where there is none */
    const struct tensor *y;                  /* the result */
    const double *in[NODE_INPUTS];
    double *out;
};

/* Return the activation of x and its derivative there. */
double ref_activate(enum vkclip_activation activation, double x);
double ref_slope(enum vkclip_activation activation, double x);
/* Returns a head's score of a query and a key, which is -inf where a causal mask hides the key. */
double ref_score(const struct ref *r, size_t item, size_t head, size_t query, size_t key);
/* Returns the index that value i of pictures of shape x [B,H,W,C] has in the result of UNFOLD. */
size_t ref_unfolded(const uint32_t *x, uint32_t size, size_t i);

/* Computes the softmax of a query of POOL over the keys of an item. */
void ref_weigh_keys(const struct ref *r, size_t item, size_t head, size_t query, double *weights);

#define X(op) void ref_##op(const struct ref *r);
OPS(X)
#undef X

#endif
