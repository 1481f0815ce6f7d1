/* SPDX-License-Identifier: MIT
 *
 * Blocks, panels and rows of weights.
 */
#include "graph/quant.h"
#include "base/array.h"
#include "base/half.h"

#include <math.h>
#include <string.h>

static int round_q4(float value)
{
    float clamped = value > -8 ? value < 7 ? value : 7 : -8; /* also what is no number */
    return (int)(clamped + 8.5f) - 8;
}

/* The scale of least squared error among a few. Where the value of largest magnitude becomes -8, as
 * Q4_0's own rule has it, is rarely the best: to cut it a little, or to leave the -8 unused, costs
 * less, and each rounding has a best scale by least squares. Values that come out of a block find
 * its scale again, with no error. */
static float best_q4_scale(const float *values, size_t count, float most)
{
    static const float at_most[] = {-8, -7, 7, -7.5f, -8.5f, -9};
    float best = most != 0 ? most / -8 : 0; /* the rule's, where no other is a number */
    double best_gain = 0;
    for (size_t t = 0; t < ARRAY_COUNT(at_most) && most != 0; t++) {
        float inverse = at_most[t] / most;
        double xq = 0, qq = 0;
        for (size_t i = 0; i < count; i++) {
            double q = round_q4(values[i] * inverse);
            xq += (double)values[i] * q;
            qq += q * q;
        }
        /* as stored: rounding is what tells the scale that the values came with from its like */
        double scale = qq > 0 ? (double)half_to_float(half_from_float((float)(xq / qq))) : 0;
        double gain = scale * (2 * xq - scale * qq); /* the squared error is sum x^2 - gain */
        if (gain > best_gain) {
            best_gain = gain;
            best = (float)scale;
        }
    }
    return best;
}

bool quant_pack(enum type type, const float *values, size_t count, struct quant_block *block)
{
    float most = 0; /* the value of largest magnitude, the first of equals */
    bool finite = true;
    *block = (struct quant_block){0};
    for (size_t i = 0; i < count; i++) {
        finite = finite && isfinite(values[i]);
        if (fabsf(values[i]) > fabsf(most))
            most = values[i];
    }
    float scale = type == TYPE_Q8 ? fabsf(most) / 127 : best_q4_scale(values, count, most);
    block->scale = half_from_float(scale);
    if (!finite || (block->scale & 0x7c00) == 0x7c00) {
        block->scale = 0x7e00; /* NaN: shows, where a cut value would not */
        return false;
    }
    float inverse = scale != 0 ? 1 / scale : 0;
    if (!isfinite(inverse))
        inverse = 0; /* below what fp16 holds by far */
    for (size_t i = 0; i < count; i++)
        block->q[i] = type == TYPE_Q8 ? (int8_t)roundf(values[i] * inverse)
                                      : (int8_t)round_q4(values[i] * inverse);
    return true;
}

float quant_value(const struct quant_block *block, size_t index)
{
    return half_to_float(block->scale) * (float)block->q[index];
}
