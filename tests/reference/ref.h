/* SPDX-License-Identifier: MIT
 *
 * Every op in double precision, written from its definition and not from its kernel.
 */
#ifndef VKCLIP_TESTS_REFERENCE_REF_H
#define VKCLIP_TESTS_REFERENCE_REF_H

#include "graph/graph.h"

/* Computes a node. in[i] and out are the values of its tensors in their logical shapes (w of MATMUL
 * [N,K]); absent inputs are NULL; with a residual `out` holds it before. */
void ref_node(const struct graph *graph, const struct node *node, const double *const *in,
              double *out);

#endif
