/* SPDX-License-Identifier: MIT
 *
 * Packs weights in blocks of 32 values with one fp16 scale: a value is scale * q. The formats are
 * those of GGUF's Q8_0 (q from -127 to 127, the scale is the largest magnitude / 127) and Q4_0 (q
 * from -8 to 7, with the scale of least squared error), so that weights of a GGUF file are packed
 * to the same values again. This is the host's side only; runtime/layout.h says how blocks lie on
 * the device.
 */
#ifndef VKCLIP_GRAPH_QUANT_H
#define VKCLIP_GRAPH_QUANT_H

#include "graph/graph.h"

#define QUANT_BLOCK 32

struct quant_block {
    uint16_t scale;        /* fp16 */
    int8_t q[QUANT_BLOCK]; /* -127 to 127, or -8 to 7 */
};

/* Packs `count` values, at most 32, as TYPE_Q8 or TYPE_Q4; the rest of the block is zero. Where a
 * value is not finite, or the scale is not finite in fp16, returns false and makes all values of
 * the block NaN. */
bool quant_pack(enum type type, const float *values, size_t count, struct quant_block *block);
float quant_value(const struct quant_block *block, size_t index);

#endif
