/* SPDX-License-Identifier: MIT
 *
 * Defines how tensors lie in device memory: as rows, which are blocks in quantised tables, or as
 * panels of columns, which MATMUL and CONV read. docs/layout.md draws it. The kernels' side is in
 * shaders/matmul/panels.glsl, shaders/matmul/weights.glsl and shaders/tokens/embedding.comp.
 */
#ifndef VKCLIP_RUNTIME_LAYOUT_H
#define VKCLIP_RUNTIME_LAYOUT_H

#include "graph/graph.h"

/* These functions return the bytes of one panel of PANEL columns (shaders/args.h) with k values
 * each, and of one row of c values. */
uint64_t layout_panel_bytes(enum type type, uint64_t k);
uint64_t layout_row_bytes(enum type type, uint64_t c);
/* Returns the bytes of a whole tensor, including the zeros that fill up its last panel. */
uint64_t layout_tensor_bytes(const struct tensor *tensor);

/* Returns the index of value k of column n in panels of fp32 or fp16 whose columns have k_count
 * values. */
uint64_t layout_panel_index(uint64_t n, uint64_t k, uint64_t k_count);

/* Stores one panel, given as its columns [PANEL][k]. Returns false if a value is too large for the
 * type. */
bool layout_store_panel(enum type type, const float *columns, size_t k, void *panel);
/* Stores one row. Returns false if a value is too large for the type. */
bool layout_store_row(enum type type, const float *values, size_t c, void *row);

#endif
