/* SPDX-License-Identifier: MIT
 *
 * Weights in blocks of 32 values with one fp16 scale: value = scale * q. The values are those of
 * GGUF's Q8_0 (q from -127 to 127, scale = largest magnitude / 127) and Q4_0 (q from -8 to 7, scale
 * of least squared error), so that what a file has in those formats comes back to the same values.
 * Also how weights of every type lie on the device (shaders/args.h). Host side only.
 */
#ifndef VKCLIP_GRAPH_QUANT_H
#define VKCLIP_GRAPH_QUANT_H

#include "graph/graph.h"

#define QUANT_BLOCK 32

struct quant_block {
    uint16_t scale;        /* fp16 */
    int8_t q[QUANT_BLOCK]; /* -127 to 127, or -8 to 7 */
};

/* The block of `count` values, at most 32, the others zero; `type` is TYPE_Q8 or TYPE_Q4. False
 * where the scale is no finite number in fp16: all values then become NaN. */
bool quant_pack(enum type type, const float *values, size_t count, struct quant_block *block);
float quant_value(const struct quant_block *block, size_t index);

#endif
