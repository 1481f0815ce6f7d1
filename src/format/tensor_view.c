/* SPDX-License-Identifier: MIT
 *
 * This file has the element types and their decoding. Blocks are decoded as ggml defines them.
 * Those of Q4_0 to Q8_0 are 32 small integers with one fp16 scale, in some types with an fp16
 * minimum. Those of Q2_K to Q6_K are 256 integers in groups of 32 or 16, each of which has a scale
 * of its own: a small integer that multiplies the block's fp16 scale.
 */
#include "format/tensor_view.h"
#include "base/file.h"
#include "base/half.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 32, K_BLOCK = 256 };

static const struct {
    const char *name;
    struct dtype_block block;
} dtypes[DTYPE_COUNT] = {
    [DTYPE_F32] = {"F32", {1, 4}},
    [DTYPE_F16] = {"F16", {1, 2}},
    [DTYPE_BF16] = {"BF16", {1, 2}},
    [DTYPE_F64] = {"F64", {1, 8}},
    [DTYPE_U8] = {"U8", {1, 1}},
    [DTYPE_I8] = {"I8", {1, 1}},
    [DTYPE_BOOL] = {"BOOL", {1, 1}},
    [DTYPE_I16] = {"I16", {1, 2}},
    [DTYPE_U16] = {"U16", {1, 2}},
    [DTYPE_I32] = {"I32", {1, 4}},
    [DTYPE_U32] = {"U32", {1, 4}},
    [DTYPE_I64] = {"I64", {1, 8}},
    [DTYPE_U64] = {"U64", {1, 8}},
    [DTYPE_F8_E4M3] = {"F8_E4M3", {1, 1}},
    [DTYPE_F8_E5M2] = {"F8_E5M2", {1, 1}},
    [DTYPE_Q4_0] = {"Q4_0", {BLOCK, 2 + 16}},         /* scale, 32 x 4 bits */
    [DTYPE_Q4_1] = {"Q4_1", {BLOCK, 2 + 2 + 16}},     /* scale, minimum, 32 x 4 bits */
    [DTYPE_Q5_0] = {"Q5_0", {BLOCK, 2 + 4 + 16}},     /* scale, 32 fifth bits, 32 x 4 bits */
    [DTYPE_Q5_1] = {"Q5_1", {BLOCK, 2 + 2 + 4 + 16}}, /* scale, minimum, fifth bits, 4 bits */
    [DTYPE_Q8_0] = {"Q8_0", {BLOCK, 2 + 32}},         /* scale, 32 x 8 bits */
    /* 16 x 4 bits for the scales and 16 x 4 for the minima of groups, integers, scale, minimum */
    [DTYPE_Q2_K] = {"Q2_K", {K_BLOCK, 16 + 64 + 2 + 2}},
    /* high bits and low 2 bits of the integers, 16 x 6 bits for the scales of groups, scale */
    [DTYPE_Q3_K] = {"Q3_K", {K_BLOCK, 32 + 64 + 12 + 2}},
    /* scale, minimum, 8 x 6 bits for the scales and 8 x 6 for the minima of groups, integers */
    [DTYPE_Q4_K] = {"Q4_K", {K_BLOCK, 2 + 2 + 12 + 128}},
    [DTYPE_Q5_K] = {"Q5_K", {K_BLOCK, 2 + 2 + 12 + 32 + 128}},
    /* low 4 bits and high 2 bits of the integers, 16 x 8 bits for the scales of groups, scale */
    [DTYPE_Q6_K] = {"Q6_K", {K_BLOCK, 128 + 64 + 16 + 2}},
};

const char *dtype_name(enum dtype dtype)
{
    return (unsigned)dtype < DTYPE_COUNT ? dtypes[dtype].name : "?";
}

struct dtype_block dtype_block(enum dtype dtype)
{
    return (unsigned)dtype < DTYPE_COUNT ? dtypes[dtype].block : (struct dtype_block){1, 0};
}

size_t dtype_size(enum dtype dtype)
{
    struct dtype_block block = dtype_block(dtype);
    return block.elements == 1 ? block.bytes : 0;
}

bool dtype_is_float(enum dtype dtype)
{
    return dtype == DTYPE_F32 || dtype == DTYPE_F16 || dtype == DTYPE_BF16 || dtype == DTYPE_F64;
}

bool dtype_is_readable(enum dtype dtype)
{
    return dtype_is_float(dtype) || dtype == DTYPE_F8_E4M3 || dtype == DTYPE_F8_E5M2 ||
           dtype_block(dtype).elements > 1;
}

/* ---- Decoding -------------------------------------------------------------------------------- */

/* The 4 bits of exponent and 3 bits of mantissa are an fp16 number whose exponent counts from 7
 * instead of 15. The type has no infinity; its largest code is not a number. */
static float e4m3_to_float(uint8_t code)
{
    const uint16_t half = (uint16_t)((code & 0x80) << 8 | (code & 0x7f) << 7);
    return (code & 0x7f) == 0x7f ? NAN : half_to_float(half) * 256;
}

/* Elements are copied out one by one because no format promises their alignment. */
static void read_floats(enum dtype dtype, const uint8_t *data, uint64_t count, float *values)
{
    uint16_t half;
    double wide;
    switch (dtype) {
    case DTYPE_F32:
        if (count)
            memcpy(values, data, count * sizeof(float));
        break;
    case DTYPE_F16:
        for (uint64_t i = 0; i < count; i++) {
            memcpy(&half, data + 2 * i, sizeof(half));
            values[i] = half_to_float(half);
        }
        break;
    case DTYPE_BF16:
        for (uint64_t i = 0; i < count; i++) {
            memcpy(&half, data + 2 * i, sizeof(half));
            values[i] = bfloat_to_float(half);
        }
        break;
    case DTYPE_F64:
        for (uint64_t i = 0; i < count; i++) {
            memcpy(&wide, data + 8 * i, sizeof(wide));
            values[i] = (float)wide;
        }
        break;
    case DTYPE_F8_E4M3:
        for (uint64_t i = 0; i < count; i++)
            values[i] = e4m3_to_float(data[i]);
        break;
    case DTYPE_F8_E5M2: /* the upper half of an fp16 number */
        for (uint64_t i = 0; i < count; i++)
            values[i] = half_to_float((uint16_t)(data[i] << 8));
        break;
    default:
        for (uint64_t i = 0; i < count; i++)
            values[i] = 0;
    }
}

static float take_half(const uint8_t **data)
{
    uint16_t half;
    memcpy(&half, *data, sizeof(half));
    *data += sizeof(half);
    return half_to_float(half);
}

/* The product of an integer of 8 bits and a scale of 11 bits is exact in fp32, so that only the sum
 * with the minimum rounds, and every implementation of the format gives the same values. */
static void read_small_block(enum dtype dtype, const uint8_t *data, float values[BLOCK])
{
    const bool has_minimum = dtype == DTYPE_Q4_1 || dtype == DTYPE_Q5_1;
    const bool has_fifth_bits = dtype == DTYPE_Q5_0 || dtype == DTYPE_Q5_1;
    const float scale = take_half(&data);
    if (dtype == DTYPE_Q8_0) {
        for (unsigned i = 0; i < BLOCK; i++)
            values[i] = (float)(int8_t)data[i] * scale;
        return;
    }
    const float minimum = has_minimum ? take_half(&data) : 0;
    uint32_t fifth_bits = 0;
    if (has_fifth_bits) {
        memcpy(&fifth_bits, data, sizeof(fifth_bits));
        data += sizeof(fifth_bits);
    }
    int zero = has_fifth_bits ? 16 : 8; /* the integer that means 0 */
    if (has_minimum)
        zero = 0;
    for (unsigned i = 0; i < BLOCK; i++) {
        unsigned low = i < BLOCK / 2 ? data[i] & 15u : data[i - BLOCK / 2] >> 4;
        unsigned integer = low | (fifth_bits >> i & 1) << 4;
        float value = (float)((int)integer - zero) * scale;
        values[i] = has_minimum ? value + minimum : value;
    }
}

/* In Q2_K, Q3_K and Q6_K each half of a block has 128 elements, in four runs of 32. Two bits of
 * each element of the runs are the quarters of the 32 bytes of their half. */
static unsigned take_quarter(const uint8_t *bytes, unsigned element)
{
    return bytes[BLOCK * (element / 128) + element % BLOCK] >> 2 * (element / BLOCK % 4) & 3u;
}

static void read_q2_k(const uint8_t *data, float values[K_BLOCK])
{
    const uint8_t *groups = data, *integers = groups + 16, *end = integers + 64;
    const float scale = take_half(&end), minimum = take_half(&end);
    for (unsigned i = 0; i < K_BLOCK; i++) {
        const float step = scale * (float)(groups[i / 16] & 15u);
        const float lowest = minimum * (float)(groups[i / 16] >> 4);
        values[i] = step * (float)take_quarter(integers, i) - lowest;
    }
}

/* The low 4 bits of 16 groups' scales are the halves of 8 bytes, first the low ones, and the high 2
 * bits are the quarters of 4 bytes. Bit number `run` of a byte of the high bits belongs to one of
 * the eight runs of 32 elements; where it is not set, the integer is 4 less. */
static void read_q3_k(const uint8_t *data, float values[K_BLOCK])
{
    const uint8_t *high = data, *low = high + 32, *packed = low + 64, *end = packed + 12;
    const float scale = take_half(&end);
    for (unsigned i = 0; i < K_BLOCK; i++) {
        const unsigned group = i / 16, run = i / BLOCK;
        const unsigned group_scale = (packed[group % 8] >> 4 * (group / 8) & 15u) |
                                     (packed[8 + group % 4] >> 2 * (group / 4) & 3u) << 4;
        const int integer = (int)take_quarter(low, i) - (high[i % BLOCK] >> run & 1 ? 0 : 4);
        values[i] = scale * (float)((int)group_scale - 32) * (float)integer;
    }
}

/* Takes the scale and the minimum of group number `group`, which have 6 bits each, from the 12
 * bytes in which Q4_K and Q5_K pack those of 8 groups: the first 4 groups have the low 6 bits of
 * bytes 0 to 3 and 4 to 7; the others have a half of bytes 8 to 11, and the high 2 bits of the
 * former. */
static void unpack_group(const uint8_t packed[12], unsigned group, unsigned *scale,
                         unsigned *minimum)
{
    if (group < 4) {
        *scale = packed[group] & 63u;
        *minimum = packed[group + 4] & 63u;
    } else {
        *scale = (packed[group + 4] & 15u) | (unsigned)(packed[group - 4] >> 6) << 4;
        *minimum = (unsigned)(packed[group + 4] >> 4) | (unsigned)(packed[group] >> 6) << 4;
    }
}

/* Two groups of 32 share 32 bytes: one has the low and the other the high halves. Bit number
 * `group` of byte i of the fifth bits belongs to element i of that group. */
static void read_q4_or_q5_k(bool has_fifth_bits, const uint8_t *data, float values[K_BLOCK])
{
    const float scale = take_half(&data), minimum = take_half(&data);
    const uint8_t *packed = data, *fifth_bits = data + 12;
    const uint8_t *integers = fifth_bits + (has_fifth_bits ? BLOCK : 0);
    for (unsigned group = 0; group < K_BLOCK / BLOCK; group++) {
        const uint8_t *bytes = integers + group / 2 * BLOCK;
        unsigned group_scale, group_minimum;
        unpack_group(packed, group, &group_scale, &group_minimum);
        const float step = scale * (float)group_scale, lowest = minimum * (float)group_minimum;
        for (unsigned i = 0; i < BLOCK; i++) {
            unsigned integer = group % 2 ? bytes[i] >> 4 : bytes[i] & 15u;
            if (has_fifth_bits)
                integer |= (fifth_bits[i] >> group & 1u) << 4;
            *values++ = step * (float)integer - lowest;
        }
    }
}

/* The low 4 bits of the runs are the halves of 64 bytes per half of the block. */
static void read_q6_k(const uint8_t *data, float values[K_BLOCK])
{
    const uint8_t *low = data, *high = data + 128, *scales = high + 64, *end = scales + 16;
    const float scale = take_half(&end);
    for (unsigned i = 0; i < K_BLOCK; i++) {
        const unsigned byte = low[64 * (i / 128) + i % 64];
        const unsigned integer = (i / 64 % 2 ? byte >> 4 : byte & 15u) | take_quarter(high, i) << 4;
        values[i] = scale * (float)(int8_t)scales[i / 16] * (float)((int)integer - 32);
    }
}

/* The products of the K types have at most 23 bits, those of a scale, of a group's scale and of an
 * integer: they are exact too, with and without fused multiply-add. */
static void read_block(enum dtype dtype, const uint8_t *data, float *values)
{
    switch (dtype) {
    case DTYPE_Q2_K:
        read_q2_k(data, values);
        break;
    case DTYPE_Q3_K:
        read_q3_k(data, values);
        break;
    case DTYPE_Q4_K:
    case DTYPE_Q5_K:
        read_q4_or_q5_k(dtype == DTYPE_Q5_K, data, values);
        break;
    case DTYPE_Q6_K:
        read_q6_k(data, values);
        break;
    default:
        read_small_block(dtype, data, values);
    }
}

int tensor_view_copy(const struct tensor_view *view, uint64_t offset, size_t size, void *copy)
{
    const uint8_t *data = (const uint8_t *)view->data + offset;
    if (view->map)
        return file_map_read(view->map, (uint64_t)(data - view->map->data), size, copy);
    if (size)
        memcpy(copy, data, size);
    return VKCLIP_OK;
}

/* Decodes elements whose bytes begin with the block of the first. */
static void decode_elements(enum dtype dtype, const uint8_t *data, uint64_t first, uint64_t count,
                            float *values)
{
    const struct dtype_block block = dtype_block(dtype);
    float decoded[K_BLOCK];
    if (block.elements == 1) {
        read_floats(dtype, data, count, values);
        return;
    }
    for (; count; data += block.bytes) {
        const unsigned skipped = (unsigned)(first % block.elements);
        const uint64_t left = block.elements - skipped, taken = left < count ? left : count;
        read_block(dtype, data, decoded);
        memcpy(values, decoded + skipped, taken * sizeof(*values));
        first += taken;
        values += taken;
        count -= taken;
    }
}

/* Bytes that are read from a file at once: few enough to stay in the processor's cache until they
 * are decoded, and so many that the calls of the system cost little. */
#define PIECE_SIZE (32 << 10)

static int read_unscaled(const struct tensor_view *view, uint64_t first, uint64_t count,
                         float *values)
{
    const struct dtype_block block = dtype_block(view->dtype);
    const uint64_t most = PIECE_SIZE / block.bytes * block.elements;
    uint8_t piece[PIECE_SIZE];
    if (!view->map) {
        const uint64_t offset = first / block.elements * block.bytes;
        decode_elements(view->dtype, (const uint8_t *)view->data + offset, first, count, values);
        return VKCLIP_OK;
    }
    if (view->dtype == DTYPE_F32) /* needs no decoding */
        return tensor_view_copy(view, first * sizeof(*values), (size_t)count * sizeof(*values),
                                values);
    while (count) {
        const uint64_t skipped = first % block.elements, left = most - skipped;
        const uint64_t taken = left < count ? left : count;
        const uint64_t blocks = (skipped + taken + block.elements - 1) / block.elements;
        int error = tensor_view_copy(view, first / block.elements * block.bytes,
                                     (size_t)(blocks * block.bytes), piece);
        if (error)
            return error;
        decode_elements(view->dtype, piece, first, taken, values);
        first += taken;
        values += taken;
        count -= taken;
    }
    return VKCLIP_OK;
}

int tensor_view_read(const struct tensor_view *view, uint64_t first, uint64_t count, float *values)
{
    int error = read_unscaled(view, first, count, values);
    for (uint64_t i = 0; !error && view->scaled && i < count; i++)
        values[i] *= view->scale;
    return error;
}

float tensor_view_value(const struct tensor_view *view, uint64_t index)
{
    const struct dtype_block block = dtype_block(view->dtype);
    const uint64_t offset = index / block.elements * block.bytes;
    float value;
    decode_elements(view->dtype, (const uint8_t *)view->data + offset, index, 1, &value);
    return view->scaled ? value * view->scale : value;
}

uint64_t tensor_view_elements(const struct tensor_view *view)
{
    const struct dtype_block block = dtype_block(view->dtype);
    return view->size / block.bytes * block.elements;
}

/* ---- Lists of views -------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct tensor_view *)a)->name, ((const struct tensor_view *)b)->name);
}

void tensor_view_sort(struct tensor_view *views, size_t count)
{
    if (count)
        qsort(views, count, sizeof(*views), compare_names);
}

const struct tensor_view *tensor_view_find(const struct tensor_view *views, size_t count,
                                           const char *name)
{
    const struct tensor_view key = {.name = name};
    return count ? bsearch(&key, views, count, sizeof(*views), compare_names) : NULL;
}
