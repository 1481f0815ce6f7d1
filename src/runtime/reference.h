/* SPDX-License-Identifier: MIT
 *
 * Computes every op in double precision on the host. The self-test (selftest.h) and the tests
 * compare kernels with it. The code follows the op's definition and not its kernel, so that it does
 * not repeat a kernel's mistake.
 */
#ifndef VKCLIP_RUNTIME_REFERENCE_H
#define VKCLIP_RUNTIME_REFERENCE_H

#include "graph/graph.h"

/* Computes a node. in[i] and out are the values of its tensors in their logical shapes, in which w
 * of MATMUL is [N,K]. An absent input is NULL. A node with a residual adds to the values of out. */
void reference_node(const struct graph *graph, const struct node *node, const double *const *in,
                    double *out);

#endif
