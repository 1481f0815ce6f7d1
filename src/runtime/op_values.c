/* SPDX-License-Identifier: MIT
 *
 * Makes, stores and reads the values of cases.
 */
#include "runtime/op_values.h"
#include "base/error.h"
#include "base/half.h"

#include <math.h>
#include <string.h>

#include "base/memory.h"
#include "graph/grad.h"
#include "graph/quant.h"
#include "runtime/layout.h"
#include "shaders/args.h"
#include "shaders/pictures/pictures.h"
#include "shaders/attention/masked.h"

static int out_of_memory(void)
{
    return error_fail(VKCLIP_EMEMORY, "out of memory for the check of a kernel");
}

/* ---- Values ---------------------------------------------------------------------------------- */

double op_values_next(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return (double)*state / 2147483648.0 - 1;
}

/* Rounds the values of one block to those that its type can hold. */
static void quantise_block(enum type type, double *values, size_t left)
{
    float block_values[QUANT_BLOCK];
    struct quant_block block;
    const size_t count = left < QUANT_BLOCK ? left : QUANT_BLOCK;
    for (size_t i = 0; i < count; i++)
        block_values[i] = (float)values[i];
    quant_pack(type, block_values, count, &block);
    for (size_t i = 0; i < count; i++)
        values[i] = (double)quant_value(&block, i);
}

/* Rounds values to those that a tensor's type can hold. */
static void round_values(const struct tensor *tensor, double *values)
{
    const uint64_t count = tensor_elements(tensor);
    const size_t row = count / tensor->shape[0]; /* Blocks divide K of a matrix, C of a table. */
    for (uint64_t i = 0; i < count; i++)
        values[i] = tensor->type == TYPE_F16
                        ? (double)half_to_float(half_from_float((float)values[i]))
                        : (double)(float)values[i];
    if (tensor->type != TYPE_Q8 && tensor->type != TYPE_Q4)
        return;
    for (uint64_t begin = 0; begin < count; begin += row)
        for (size_t first = 0; first < row; first += QUANT_BLOCK)
            quantise_block(tensor->type, values + begin + first, row - first);
}

void op_values_fill(const struct tensor *tensor, double spread, uint32_t *state, double *values)
{
    const uint64_t count = tensor_elements(tensor);
    for (uint64_t i = 0; i < count; i++)
        values[i] = op_values_next(state) * spread;
    round_values(tensor, values);
}

/* Returns the number of rows among which the ids of a node choose. */
static uint32_t rows_to_choose(const struct graph *graph, const struct node *node)
{
    /* The mask is words of random bits, and so are the bytes of pictures. */
    if (node->op == OP_MAXIMA || node->op == OP_PATCHES || node->op == OP_RESAMPLE)
        return INT32_MAX;
    if (node->op == OP_ATTENTION_MASKED || node->op == OP_ATTENTION ||
        node->op == OP_ATTENTION_DELTA || node->op == OP_MEAN || node->op == OP_MEAN_GRAD)
        /* The mask hides about half of the tokens. */
        return 2;
    if (node->op == OP_EMBEDDING)
        return graph->tensors[node->in[1]].shape[0];
    if (node->op == OP_SELECT_GRAD)
        return graph->tensors[node->out].shape[1];
    return graph->tensors[node->in[0]].shape[1];
}

/* Fills a tensor with ids, which include both ends of the table. */
static void fill_ids(uint64_t count, uint32_t rows, uint32_t *state, double *values)
{
    for (uint64_t i = 0; i < count; i++)
        values[i] = floor((op_values_next(state) + 1) / 2 * rows);
    values[0] = 0;
    values[count - 1] = rows - 1;
}

static double *make_tensor(const struct graph *graph, const struct node *node, int index,
                           uint32_t *state)
{
    const struct tensor *tensor = &graph->tensors[index];
    const uint64_t count = tensor_elements(tensor);
    /* Sums of squares, second moments and variances are never negative. */
    const bool positive =
        node->op == OP_CLIP || node->op == OP_ADAMW || node->op == OP_RUNNINGSTATS;
    double *values = memory_alloc(count * sizeof(*values));
    if (!values)
        return NULL;
    if (tensor->type == TYPE_I32) {
        fill_ids(count, rows_to_choose(graph, node), state, values);
        return values;
    }
    /* A wide spread makes some weights of the softmax dominate. */
    op_values_fill(tensor, node->op == OP_ATTENTION ? 3 : 1, state, values);
    for (uint64_t i = 0; positive && i < count; i++)
        values[i] = fabs(values[i]);
    return values;
}

/* Sorts tokens by their ids. Every second text ends early, and tokens after its end are left out.
 */
static int sort_tokens(const struct graph *graph, const struct node *node, uint32_t *state,
                       double *order, double *runs)
{
    const uint32_t *shape = graph->tensors[node->in[0]].shape;
    const uint32_t tokens = shape[0] * shape[1], vocabulary = graph->tensors[node->out].shape[0];
    int32_t *ids = memory_calloc(4 * (size_t)tokens + 2 + shape[0], sizeof(*ids));
    if (!ids)
        return out_of_memory();
    int32_t *sorted = ids + tokens, *begins = sorted + tokens, *ends = begins + 2 * tokens + 2;
    for (uint32_t i = 0; i < tokens; i++)
        ids[i] = (int32_t)((op_values_next(state) + 1) / 2 * vocabulary);
    for (uint32_t i = 0; i < shape[0]; i++)
        ends[i] = (int32_t)(shape[1] - 1 - i % 2 * (shape[1] / 2));
    grad_sort_ids(ids, ends, shape[0], shape[1], sorted, begins);
    for (uint32_t i = 0; i < tokens; i++)
        order[i] = sorted[i];
    for (uint32_t i = 0; i < 2 * tokens + 2; i++)
        runs[i] = begins[i];
    memory_free(ids);
    return VKCLIP_OK;
}

/* Marks every third token of all heads [B,T,heads,2] as left out, as ATTENTION_DELTA does. */
static void mask_tokens(const struct tensor *stats, double *values)
{
    const size_t heads = stats->shape[2], tokens = tensor_elements(stats) / 2 / heads;
    for (size_t i = 0; i < tokens * heads; i++)
        if (i / heads % 3 == 1)
            values[2 * i] = (double)MASKED_STAT;
}

/* Makes taps [N,1+K] that go through an axis of `length` pixels and sum to about one. The sums of
 * absolute values stay below two, so that no sum of 32 bits overflows. */
static void make_taps(const struct tensor *tensor, uint32_t length, uint32_t *state, double *taps)
{
    const size_t count = tensor->shape[0], columns = tensor->shape[1], most = columns - 1;
    for (size_t i = 0; i < count * columns; i++)
        taps[i] =
            i % columns
                ? floor((1 << RESAMPLE_BITS) / (double)most * (0.5 + 1.4 * op_values_next(state)))
                : (double)(i / columns * length / count);
}

/* Makes levels of all values. */
static void make_levels(const struct tensor *tensor, uint32_t *state, double *values)
{
    for (uint64_t i = 0; i < tensor_elements(tensor); i++)
        values[i] = floor((op_values_next(state) + 1) * 128);
}

/* Makes the inputs of the ops that prepare pictures. */
static void make_picture(const struct graph *graph, const struct node *node, uint32_t *state,
                         double *values[KERNEL_SLOTS])
{
    const struct tensor *x = &graph->tensors[node->in[0]];
    if (x->type == TYPE_F32)
        make_levels(x, state, values[0]);
    if (node->op == OP_FRAME)
        return;
    const uint32_t width = node->resample.stride ? node->resample.width : x->shape[1];
    make_taps(&graph->tensors[node->in[1]], node->resample.down ? x->shape[0] : width, state,
              values[1]);
}

int op_values_make(const struct graph *graph, const struct node *node, double *values[KERNEL_SLOTS])
{
    uint32_t state = 2463534242u;
    for (int slot = 0; slot < KERNEL_SLOTS; slot++) {
        const int index = slot == KERNEL_OUT ? node->out : node->in[slot];
        values[slot] = index < 0 ? NULL : make_tensor(graph, node, index, &state);
        if (index >= 0 && !values[slot]) {
            while (++slot < KERNEL_SLOTS)
                values[slot] = NULL;
            return out_of_memory();
        }
    }
    if (node->op == OP_RESAMPLE || node->op == OP_FRAME)
        make_picture(graph, node, &state, values);
    if (node->op == OP_ATTENTION_GRAD && node->attention.masked)
        mask_tokens(&graph->tensors[node->in[2]], values[2]);
    if (node->op == OP_EMBEDDING_GRAD)
        return sort_tokens(graph, node, &state, values[1], values[2]);
    return VKCLIP_OK;
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

/* Converts `count` values to floats, and fills the rest of [total] with zeros. */
static void to_floats(const double *values, size_t count, size_t total, float *floats)
{
    for (size_t i = 0; i < total; i++)
        floats[i] = i < count ? (float)values[i] : 0;
}

static void store_panels(const struct tensor *tensor, const double *values, float *columns,
                         char *bytes)
{
    const uint32_t n = tensor_n(tensor);
    const size_t k = tensor_elements(tensor) / n;
    for (uint32_t first = 0; first < n; first += PANEL) {
        const size_t count = n - first < PANEL ? n - first : PANEL;
        to_floats(values + first * k, count * k, PANEL * k, columns);
        layout_store_panel(tensor->type, columns, k, bytes);
        bytes += layout_panel_bytes(tensor->type, k);
    }
}

static void store_rows(const struct tensor *tensor, const double *values, float *row, char *bytes)
{
    const size_t c = tensor_columns(tensor);
    for (uint64_t begin = 0; begin < tensor_elements(tensor); begin += c) {
        to_floats(values + begin, c, c, row);
        layout_store_row(tensor->type, row, c, bytes);
        bytes += layout_row_bytes(tensor->type, c);
    }
}

int op_values_store(const struct tensor *tensor, const double *values, void *bytes)
{
    const bool rows = tensor_in_rows(tensor);
    const size_t count =
        rows ? tensor_columns(tensor) : tensor_elements(tensor) / tensor_n(tensor) * PANEL;
    if (tensor->type == TYPE_I32) {
        for (uint64_t i = 0; i < tensor_elements(tensor); i++)
            ((int32_t *)bytes)[i] = (int32_t)values[i];
        return VKCLIP_OK;
    }
    float *floats = memory_alloc(count * sizeof(*floats));
    if (!floats)
        return out_of_memory();
    if (rows)
        store_rows(tensor, values, floats, bytes);
    else
        store_panels(tensor, values, floats, bytes);
    memory_free(floats);
    return VKCLIP_OK;
}

void op_values_load(const struct tensor *tensor, const void *bytes, double *values)
{
    const uint64_t count = tensor_elements(tensor);
    const bool rows = tensor_in_rows(tensor);
    const uint64_t k = rows ? count : count / tensor_n(tensor);
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t index = rows ? i : layout_panel_index(i / k, i % k, k);
        values[i] = tensor->type == TYPE_F32
                        ? (double)((const float *)bytes)[index]
                        : (double)half_to_float(((const uint16_t *)bytes)[index]);
    }
}
