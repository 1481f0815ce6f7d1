/* SPDX-License-Identifier: MIT
 *
 * Blocks, panels and rows of weights.
 */
#include "graph/quant.h"
#include "base/array.h"
#include "base/half.h"

#include <math.h>
#include <string.h>

#include "shaders/args.h"

_Static_assert(QUANT_BLOCK == BLOCK, "host and shaders share one size of blocks");

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

static uint64_t blocks_of(uint64_t count)
{
    return (count + BLOCK - 1) / BLOCK;
}

uint64_t quant_panel_bytes(enum type type, uint64_t k)
{
    if (type == TYPE_Q8)
        return blocks_of(k) * Q8_BLOCK_WORDS * 4;
    if (type == TYPE_Q4)
        return blocks_of(k) * Q4_BLOCK_WORDS * 4;
    return (k + 3) / 4 * 4 * PANEL * type_size(type);
}

/* Words of a row's scales. */
static uint64_t scale_words(uint64_t c)
{
    return (blocks_of(c) + 1) / 2;
}

uint64_t quant_row_bytes(enum type type, uint64_t c)
{
    if (type == TYPE_Q8)
        return scale_words(c) * 4 + blocks_of(c) * BLOCK;
    if (type == TYPE_Q4)
        return scale_words(c) * 4 + blocks_of(c) * BLOCK / 2;
    return c * type_size(type);
}

/* Quads of f32 or f16 in the order that they lie in. */
static bool store_quads(enum type type, const float *columns, size_t k, void *to)
{
    bool finite = true;
    char *at = to;
    const size_t bytes = 4 * type_size(type);
    for (size_t first = 0; first < k; first += 4)
        for (size_t n = 0; n < PANEL; n++, at += bytes) {
            float quad[4] = {0};
            memcpy(quad, &columns[n * k + first], (k - first < 4 ? k - first : 4) * sizeof(*quad));
            if (type == TYPE_F32)
                memcpy(at, quad, sizeof(quad));
            else
                finite &= quant_store_row(type, quad, 4, at);
        }
    return finite;
}

/* The block of column `n` in the panel's block that begins at `words`. */
static void store_block(enum type type, const struct quant_block *block, size_t n, uint32_t *words)
{
    words[n / 2] |= (uint32_t)block->scale << n % 2 * 16;
    for (size_t k = 0; k < BLOCK; k++)
        if (type == TYPE_Q8)
            words[PANEL / 2 + k / 4 * PANEL + n] |= (uint32_t)(uint8_t)block->q[k] << k % 4 * 8;
        else
            words[PANEL / 2 + k / 8 * PANEL + n] |= (uint32_t)(block->q[k] + 8) << k % 8 * 4;
}

bool quant_store_panel(enum type type, const float *columns, size_t k, void *to)
{
    bool finite = true;
    if (type == TYPE_F32 || type == TYPE_F16)
        return store_quads(type, columns, k, to);
    memset(to, 0, quant_panel_bytes(type, k));
    for (size_t n = 0; n < PANEL; n++) {
        const float *column = columns + n * k;
        uint32_t *words = to;
        for (size_t first = 0; first < k; first += BLOCK) {
            struct quant_block block;
            finite &=
                quant_pack(type, column + first, k - first < BLOCK ? k - first : BLOCK, &block);
            store_block(type, &block, n, words);
            words += quant_panel_bytes(type, BLOCK) / 4;
        }
    }
    return finite;
}

bool quant_store_row(enum type type, const float *values, size_t c, void *to)
{
    bool finite = true;
    uint32_t *words = to;
    if (type == TYPE_F32) {
        memcpy(to, values, c * sizeof(*values));
        return true;
    }
    if (type == TYPE_F16) {
        for (size_t i = 0; i < c; i++) {
            uint16_t half = half_from_float(values[i]);
            ((uint16_t *)to)[i] = half;
            finite = finite && (half & 0x7c00) != 0x7c00;
        }
        return finite;
    }
    memset(words, 0, quant_row_bytes(type, c));
    for (size_t first = 0; first < c; first += BLOCK) {
        struct quant_block block;
        size_t count = c - first < BLOCK ? c - first : BLOCK;
        finite &= quant_pack(type, &values[first], count, &block);
        words[first / BLOCK / 2] |= (uint32_t)block.scale << first / BLOCK % 2 * 16;
        for (size_t i = first; i < first + BLOCK; i++)
            if (type == TYPE_Q8)
                words[scale_words(c) + i / 4] |= (uint32_t)(uint8_t)block.q[i - first] << i % 4 * 8;
            else
                words[scale_words(c) + i / 8] |= (uint32_t)(block.q[i - first] + 8) << i % 8 * 4;
    }
    return finite;
}
