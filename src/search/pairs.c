/* SPDX-License-Identifier: MIT
 *
 * Goes over the upper half of the matrix of all products, batch by batch and chunk by chunk.
 */
#include "search/pairs.h"

#include "base/half.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/turns.h"
#include "search/dot.h"
#include "search/resident.h"
#include "search/shorten.h"

#include <math.h>

/* Rows and columns of a part of the matrix. A larger part would waste more of its lower half; a
 * smaller one would leave a large GPU idle. */
#define BATCH 512
#define CHUNK 8192
/* Rounding to fp16 changes the length of a vector by at most 2^-11, and so a product of two by less
 * than this. */
#define LENGTH_SLACK 0.001f

/* A search under way. */
struct pair_search {
    const struct pairs_params *params;
    struct vectors vectors; /* shortened: their products are at least those of the vectors */
    struct resident *resident;
    float *queries;            /* [BATCH,vectors.dim] */
    double *lengths;           /* of all vectors, before they were shortened */
    struct topk_block *blocks; /* of one row of a part */
    size_t chunk_count;
    size_t first, count; /* the batch of rows */
};

static bool is_allowed(const struct pairs_params *params, size_t row)
{
    return !params->allowed || params->allowed[row / 64] >> row % 64 & 1;
}

/* Looks at one product that may reach the bound. */
static int check_pair(const struct pair_search *search, size_t a, size_t b)
{
    const struct pairs_params *params = search->params;
    const struct vectors *vectors = params->vectors;
    const uint16_t *x = vectors->rows + a * vectors->dim, *y = vectors->rows + b * vectors->dim;
    double product = 0;
    for (size_t i = 0; i < vectors->dim; i++)
        product += (double)half_to_float(x[i]) * (double)half_to_float(y[i]);
    const struct pair pair = {a, b, product / (search->lengths[a] * search->lengths[b])};
    return pair.cosine >= params->least ? params->found(params->user, &pair) : VKCLIP_OK;
}

/* Looks at a block of products of row `a` that has one that may reach the bound. */
static int check_block(const struct pair_search *search, size_t chunk_number, size_t a, float least,
                       size_t block)
{
    const struct pairs_params *params = search->params;
    struct resident_chunk chunk;
    float scores[MAXIMA_BLOCK];
    resident_get_chunk(search->resident, chunk_number, &chunk);
    const size_t first = block * MAXIMA_BLOCK, left = chunk.count - first;
    const size_t count = left < MAXIMA_BLOCK ? left : MAXIMA_BLOCK;
    int error = VKCLIP_OK;
    if (chunk.first + first + count <= a + 1) /* the lower half */
        return VKCLIP_OK;
    resident_read_scores(search->resident, chunk_number, a - search->first, first, count, scores);
    for (size_t i = 0; i < count && !error; i++) {
        const size_t b = chunk.first + first + i;
        if (b > a && scores[i] >= least && is_allowed(params, b))
            error = check_pair(search, a, b);
    }
    return error;
}

/* Looks at the blocks of a part of the matrix that may have pairs. */
static int check_part(const struct pair_search *search, size_t chunk_number, size_t blocks)
{
    const struct pairs_params *params = search->params;
    int error = resident_wait(search->resident, chunk_number);
    for (size_t q = 0; q < search->count && !error; q++) {
        const size_t a = search->first + q, dim = search->vectors.dim;
        const float least =
            (float)params->least - LENGTH_SLACK - dot_error(search->queries + q * dim, dim);
        if (!is_allowed(params, a))
            continue;
        resident_read_blocks(search->resident, chunk_number, q, search->blocks);
        for (size_t i = 0; i < blocks && !error; i++)
            if (search->blocks[i].best >= least)
                error = check_block(search, chunk_number, a, least, i);
        if (!error)
            error = progress_check(); /* A row may have thousands of pairs. */
    }
    return error;
}

/* Starts a part unless it lies in the lower half. *chunk has no vectors then or past the last one.
 */
static int submit_part(const struct pair_search *search, size_t number,
                       struct resident_chunk *chunk)
{
    if (!resident_get_chunk(search->resident, number, chunk) ||
        chunk->first + chunk->count <= search->first + 1) {
        chunk->count = 0;
        return VKCLIP_OK;
    }
    return resident_submit(search->resident, search->queries, search->count,
                           search->params->allowed, number);
}

/* Tells how much of the upper half is done when a batch's part in a chunk is. */
static int report_share(const struct pair_search *search, const struct resident_chunk *chunk)
{
    const struct pairs_params *params = search->params;
    const double all = (double)params->vectors->count;
    const double first = (double)search->first, end = (double)(search->first + search->count);
    const double before = (1 - first / all) * (1 - first / all);
    const double after = (1 - end / all) * (1 - end / all);
    const double columns_left = (all - (double)(chunk->first + chunk->count)) / (all - first);
    const double left = after + (before - after) * columns_left;
    return params->progress ? params->progress(params->user, 1 - left) : VKCLIP_OK;
}

/* Converts the next batch of rows, and goes over the chunks. The device computes a part while the
 * host looks at the one before. */
static int check_batch(struct pair_search *search)
{
    const struct vectors *vectors = &search->vectors;
    const uint16_t *rows = vectors->rows + search->first * vectors->dim;
    struct resident_chunk chunk = {0}, next;
    search->count = vectors->count - search->first < BATCH ? vectors->count - search->first : BATCH;
    for (size_t i = 0; i < search->count * vectors->dim; i++)
        search->queries[i] = half_to_float(rows[i]);
    int error = submit_part(search, 0, &chunk);
    for (size_t i = 0; i < search->chunk_count && !error; i++, chunk = next) {
        error = submit_part(search, i + 1, &next);
        if (!error && chunk.count)
            error = check_part(search, i, topk_blocks(chunk.count));
        if (!error && chunk.count)
            error = report_share(search, &chunk);
        if (!error)
            error = turn_give_way();
    }
    for (size_t i = 0; i < search->chunk_count; i++)
        resident_wait(search->resident, i); /* after an error */
    return error;
}

static int compute_lengths(const struct vectors *vectors, double *lengths)
{
    int error = VKCLIP_OK;
    for (size_t row = 0; row < vectors->count && !error; row++) {
        double squares = 0;
        for (size_t i = 0; i < vectors->dim; i++) {
            const double value = (double)half_to_float(vectors->rows[row * vectors->dim + i]);
            squares += value * value;
        }
        lengths[row] = sqrt(squares);
        error = progress_check();
    }
    return error;
}

int pairs_find(const struct pairs_params *params)
{
    const struct vectors *vectors = params->vectors;
    struct pair_search search = {
        .params = params,
        .vectors = *vectors,
        .lengths = memory_alloc((vectors->count + 1) * sizeof(*search.lengths)),
        .blocks = memory_alloc(topk_blocks(CHUNK) * sizeof(*search.blocks))};
    const struct resident_params resident_params = {.gpu = params->gpu,
                                                    .tuner = params->tuner,
                                                    .vectors = &search.vectors,
                                                    .batch = BATCH,
                                                    .chunk_rows = CHUNK};
    struct resident_chunk chunk;
    int error = shorten_vectors(vectors, params->least - (double)LENGTH_SLACK, &search.vectors);
    search.queries = memory_alloc(BATCH * search.vectors.dim * sizeof(*search.queries));
    if (!error && (!search.queries || !search.lengths || !search.blocks))
        error =
            error_fail(VKCLIP_EMEMORY, "out of memory for pairs of %zu vectors", vectors->count);
    if (!error)
        error = resident_open(&resident_params, &search.resident);
    if (!error)
        error = compute_lengths(vectors, search.lengths);
    while (!error && resident_get_chunk(search.resident, search.chunk_count, &chunk))
        search.chunk_count++;
    for (; search.first < vectors->count && !error; search.first += BATCH)
        error = check_batch(&search);
    resident_close(&search.resident);
    shorten_free(vectors, &search.vectors);
    memory_free(search.queries);
    memory_free(search.lengths);
    memory_free(search.blocks);
    return error;
}
