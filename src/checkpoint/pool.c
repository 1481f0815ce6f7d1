/* SPDX-License-Identifier: MIT
 *
 * Works on small tensors, which are read, changed and kept in memory as fp32. Refuses tensors whose
 * shapes do not fit.
 */
#include "checkpoint/pool.h"
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>

/* Checks that a tensor has these sizes; `columns` is 0 for a vector. */
static int check_shape(const struct weights *weights, const char *name, uint64_t rows,
                       uint64_t columns)
{
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank;
    if (!weights_shape(weights, name, shape, &rank))
        return error_fail(VKCLIP_EFORMAT, "%s: tensor %s: expected it, found none: it is missing",
                          weights_path(weights), name);
    if (rank != (columns ? 2u : 1u) || shape[0] != rows || (columns && shape[1] != columns))
        return error_fail(VKCLIP_EFORMAT, "%s: tensor %s: expected shape [%llu%s%.0llu]",
                          weights_path(weights), name, (unsigned long long)rows, columns ? "," : "",
                          (unsigned long long)columns);
    return VKCLIP_OK;
}

#define POOL "visual.attn_pool.attn."

/* Rows [first, first + rows) of a tensor. */
struct piece {
    const char *name;
    uint64_t first, rows;
};

/* Adds a tensor that has the rows of one or two pieces; `columns` is 0 for a vector. */
static int join_pieces(struct weights *weights, const char *name, const struct piece *pieces,
                       size_t count, uint64_t columns)
{
    const uint64_t length = columns ? columns : 1;
    uint64_t shape[] = {0, columns}, done = 0;
    int error = VKCLIP_OK;
    for (size_t i = 0; i < count; i++)
        shape[0] += pieces[i].rows;
    float *values = memory_alloc(shape[0] * length * sizeof(*values));
    if (!values)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %s", name);
    for (size_t i = 0; i < count && !error; i++) {
        error = weights_read(weights, pieces[i].name, pieces[i].first, pieces[i].rows,
                             values + done * length);
        done += pieces[i].rows;
    }
    if (!error)
        return weights_add(weights, name, columns ? 2 : 1, shape, values);
    memory_free(values);
    return error;
}

/* Query, key and value are one matrix if the tower is as wide as the embedding, else three. */
static int split_matrices(struct weights *weights, uint64_t width, uint64_t length)
{
    const bool whole = width == length;
    const struct piece one[] = {{POOL "in_proj_weight", 0, length},
                                {POOL "in_proj_weight", length, 2 * length}};
    const struct piece three[] = {{POOL "q_proj_weight", 0, length},
                                  {POOL "k_proj_weight", 0, length},
                                  {POOL "v_proj_weight", 0, length}};
    const struct piece *pieces = whole ? one : three;
    int error = VKCLIP_OK;
    if (whole)
        error = check_shape(weights, one[0].name, 3 * length, length);
    for (size_t i = 0; i < ARRAY_COUNT(three) && !whole && !error; i++)
        error = check_shape(weights, three[i].name, length, i ? width : length);
    if (!error)
        error = join_pieces(weights, POOL "q_weight", pieces, 1, length);
    if (!error)
        error = join_pieces(weights, POOL "kv_weight", pieces + 1, whole ? 1 : 2, width);
    for (size_t i = 0; i < (whole ? 1 : ARRAY_COUNT(three)) && !error; i++)
        weights_remove(weights, pieces[i].name);
    return error;
}

int pool_split(struct weights *weights, const struct config *config)
{
    const uint64_t length = config->image_embed_dim;
    const struct piece biases[] = {{POOL "in_proj_bias", 0, length},
                                   {POOL "in_proj_bias", length, 2 * length}};
    if (!config->image.pool_heads)
        return VKCLIP_OK;
    int error = check_shape(weights, biases[0].name, 3 * length, 0);
    if (!error)
        error = join_pieces(weights, POOL "q_bias", &biases[0], 1, 0);
    if (!error)
        error = join_pieces(weights, POOL "kv_bias", &biases[1], 1, 0);
    if (!error)
        weights_remove(weights, biases[0].name);
    return error ? error : split_matrices(weights, config->image.width, length);
}
