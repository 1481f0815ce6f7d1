/* SPDX-License-Identifier: MIT
 *
 * Makes pseudo-random values that a tensor's type can hold exactly, and stores and reads them as
 * they lie on a device. Kernels and the reference then begin with the same numbers.
 */
#ifndef VKCLIP_RUNTIME_OP_VALUES_H
#define VKCLIP_RUNTIME_OP_VALUES_H

#include "graph/graph.h"
#include "runtime/kernels.h"

/* Returns a number in [-1, 1) by xorshift, which gives the same numbers on every machine. */
double op_values_next(uint32_t *state);
/* Fills [elements] with values in [-spread, spread) that the tensor's type can hold. */
void op_values_fill(const struct tensor *tensor, double spread, uint32_t *state, double *values);
/* Makes the values of all tensors of a node, by slot, in their logical shapes: ids that are in
 * range, squares that are not negative. An absent tensor stays NULL. The caller frees each, also
 * after an error. */
int op_values_make(const struct graph *graph, const struct node *node,
                   double *values[KERNEL_SLOTS]);

/* Stores values as layout.h says. `bytes` has layout_tensor_bytes. */
int op_values_store(const struct tensor *tensor, const double *values, void *bytes);
/* Reads values of fp32 or fp16. */
void op_values_load(const struct tensor *tensor, const void *bytes, double *values);

#endif
