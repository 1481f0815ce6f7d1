/* SPDX-License-Identifier: MIT
 *
 * Chooses a block's scale and rounds its values to multiples of the scale.
 */
#include "graph/quant.h"
#include "base/array.h"
#include "base/half.h"

#include <math.h>
#include <string.h>

static int round_q4(float value)
{
    if (!(value > -8)) /* true also where the value is not a number */
        return -8;
    return (int)((value < 7 ? value : 7) + 8.5f) - 8;
}

/* Returns the scale with the least squared error among a few candidates. Q4_0's own rule lets the
 * value of largest magnitude become -8, which is rarely the best: cutting it a little, or leaving
 * the -8 unused, costs less. Each candidate rounds the values, and the scale that fits the rounded
 * values by least squares is compared. Values that were decoded from a block get its scale again,
 * without error.
 */
static float best_q4_scale(const float *values, size_t count, float most)
{
    /* Each candidate makes the value of largest magnitude this number before it is rounded. */
    static const float largest_q[] = {-8, -7, 7, -7.5f, -8.5f, -9};
    float best = most != 0 ? most / -8 : 0; /* by Q4_0's rule, where no candidate is a number */
    double best_gain = 0;
    for (size_t t = 0; t < ARRAY_COUNT(largest_q) && most != 0; t++) {
        float inverse = largest_q[t] / most;
        double xq = 0, qq = 0;
        for (size_t i = 0; i < count; i++) {
            double q = round_q4(values[i] * inverse);
            xq += (double)values[i] * q;
            qq += q * q;
        }
        /* The error is that of the scale as it is stored. Only then does the scale with which the
         * values were decoded have no error, so that it is chosen. */
        double scale = qq > 0 ? (double)half_to_float(half_from_float((float)(xq / qq))) : 0;
        double gain =
            scale * (2 * xq - scale * qq); /* the squared error is the sum of x^2 - gain */
        if (gain > best_gain) {
            best_gain = gain;
            best = (float)scale;
        }
    }
    return best;
}

bool quant_pack(enum type type, const float *values, size_t count, struct quant_block *block)
{
    float most = 0; /* the value of largest magnitude; of equal ones the first */
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
        block->scale = 0x7e00; /* NaN shows in the results; cut values would go unnoticed */
        return false;
    }
    float inverse = scale != 0 ? 1 / scale : 0;
    if (!isfinite(inverse))
        inverse = 0; /* the scale is far below what fp16 holds, and all values are zero */
    for (size_t i = 0; i < count; i++)
        block->q[i] = type == TYPE_Q8 ? (int8_t)roundf(values[i] * inverse)
                                      : (int8_t)round_q4(values[i] * inverse);
    return true;
}

float quant_value(const struct quant_block *block, size_t index)
{
    return half_to_float(block->scale) * (float)block->q[index];
}
