/* SPDX-License-Identifier: MIT
 *
 * One function per op: ref.c has those of inference, ref_training.c those of training.
 */
#ifndef VKCLIP_TESTS_REFERENCE_REF_OPS_H
#define VKCLIP_TESTS_REFERENCE_REF_OPS_H

#include "graph/graph.h"

/* One node with its tensors. */
struct ref {
    const struct node *node;
    const struct tensor *x, *second; /* the first two inputs; second is NULL where there is none */
    const struct tensor *y;          /* the result */
    const double *in[NODE_INPUTS];
    double *out;
};

/* An activation, and its derivative, at x. */
double ref_activate(enum vkclip_activation activation, double x);
double ref_slope(enum vkclip_activation activation, double x);

#define X(op) void ref_##op(const struct ref *r);
OPS(X)
#undef X

#endif
