/* SPDX-License-Identifier: MIT
 *
 * One function an op, between ref.c and ref_training.c.
 */
#ifndef VKCLIP_TESTS_REFERENCE_REF_OPS_H
#define VKCLIP_TESTS_REFERENCE_REF_OPS_H

#include "graph/graph.h"

/* One node with its tensors. */
struct ref {
    const struct node *node;
    const struct tensor *x, *second, *y; /* inputs (the second may be none), result */
    const double *in[NODE_INPUTS];
    double *out;
};

double ref_slope(enum vkclip_activation activation, double x);

#define X(op) void ref_##op(const struct ref *r);
OPS(X)
#undef X

#endif
