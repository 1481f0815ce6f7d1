/* SPDX-License-Identifier: MIT
 *
 * Finds the best vectors from the maxima of blocks.
 */
#include "search/topk.h"

#include "base/memory.h"
#include "search/dot.h"

#include <math.h>
#include <stdlib.h>

/* A vector that may be a hit, with its score as the fast pass computed it. */
struct candidate {
    size_t row;
    float score;
};

struct topk_block topk_describe(const float *scores, size_t count, uint64_t allowed)
{
    struct topk_block block = {.best = TOPK_NONE};
    for (size_t i = 0; i < count; i++) {
        block.sum += scores[i];
        block.squares += scores[i] * scores[i];
        if (allowed >> i & 1 && scores[i] > block.best)
            block.best = scores[i];
    }
    return block;
}

int topk_check(const float *queries, size_t query_count, size_t dim, size_t top)
{
    if (!top || top > HIT_MOST_TOP)
        return error_fail(VKCLIP_EINVALID, "expected 1 to %d hits of a search, found %zu",
                          HIT_MOST_TOP, top);
    for (size_t i = 0; i < query_count * dim; i++)
        if (!isfinite(queries[i]))
            return error_fail(VKCLIP_EINVALID,
                              "query %zu: expected finite numbers, found %g at element %zu",
                              i / dim, (double)queries[i], i % dim);
    return VKCLIP_OK;
}

/* ---- A bound --------------------------------------------------------------------------------- */

/* Puts `value` in the place of the root of a heap, whose least value is its root. */
static void replace_least(float *heap, size_t count, float value)
{
    size_t place = 0, child = 1;
    while (child < count) {
        if (child + 1 < count && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= value)
            break;
        heap[place] = heap[child];
        place = child;
        child = 2 * place + 1;
    }
    heap[place] = value;
}

/* Returns the largest value that `top` of the values reach, which lie `pitch` bytes apart, or
 * TOPK_NONE if there are fewer than `top`. `heap` has room for `top` values. */
static float find_bound(const float *values, size_t count, size_t pitch, size_t top, float *heap)
{
    if (count < top)
        return TOPK_NONE;
    for (size_t i = 0; i < top; i++)
        heap[i] = TOPK_NONE;
    for (size_t i = 0; i < count; i++) {
        const float value = *(const float *)(const void *)((const char *)values + i * pitch);
        if (value > heap[0])
            replace_least(heap, top, value);
    }
    return heap[0];
}

/* ---- Candidates ------------------------------------------------------------------------------ */

struct candidates {
    struct candidate *list;
    size_t count, capacity;
};

/* Makes room for one block more. */
static int reserve_block(struct candidates *candidates)
{
    const size_t needed = candidates->count + MAXIMA_BLOCK;
    if (needed <= candidates->capacity)
        return VKCLIP_OK;
    const size_t capacity = 2 * needed;
    struct candidate *list = memory_realloc(candidates->list, capacity * sizeof(*list));
    if (!list)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the hits of a search");
    candidates->list = list;
    candidates->capacity = capacity;
    return VKCLIP_OK;
}

/* Adds the allowed vectors of a block whose scores reach `least`. */
static int add_block(const struct topk_input *input, size_t number, float least,
                     struct candidates *candidates)
{
    float scores[MAXIMA_BLOCK];
    const size_t first = number * MAXIMA_BLOCK, left = input->vectors->count - first;
    const size_t count = left < MAXIMA_BLOCK ? left : MAXIMA_BLOCK;
    const uint64_t allowed = input->allowed ? input->allowed[number] : UINT64_MAX;
    int error = reserve_block(candidates);
    if (error)
        return error;
    input->read(input->user, first, count, scores);
    for (size_t i = 0; i < count; i++)
        if (allowed >> i & 1 && scores[i] >= least)
            candidates->list[candidates->count++] = (struct candidate){first + i, scores[i]};
    return VKCLIP_OK;
}

/* Finds all vectors that may be among the best. Their scores may be wrong by `error` in either
 * direction, so that a vector may be a hit whose score is less than the bound by twice that. */
static int find_candidates(const struct topk_input *input, float slack, float *heap,
                           struct candidates *candidates)
{
    const size_t blocks = topk_blocks(input->vectors->count);
    const float least =
        find_bound(&input->blocks->best, blocks, sizeof(*input->blocks), input->top, heap) - slack;
    int error = VKCLIP_OK;
    for (size_t i = 0; i < blocks && !error; i++)
        if (input->blocks[i].best >= least && input->blocks[i].best > TOPK_NONE)
            error = add_block(input, i, least, candidates);
    if (error || !candidates->count)
        return error;
    const float bound = find_bound(&candidates->list->score, candidates->count,
                                   sizeof(*candidates->list), input->top, heap) -
                        slack;
    size_t kept = 0;
    for (size_t i = 0; i < candidates->count; i++)
        if (candidates->list[i].score >= bound)
            candidates->list[kept++] = candidates->list[i];
    candidates->count = kept;
    return VKCLIP_OK;
}

/* ---- Hits ------------------------------------------------------------------------------------ */

static int compare_hits(const void *a, const void *b)
{
    const struct scan_hit *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

/* Scores the candidates again, exactly, and sorts them. */
static int rank_candidates(const struct topk_input *input, const struct candidates *candidates,
                           struct scan_hit *hits, size_t *found)
{
    const struct vectors *vectors = input->vectors;
    struct scan_hit *all = memory_alloc((candidates->count + 1) * sizeof(*all));
    if (!all)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the hits of a search");
    for (size_t i = 0; i < candidates->count; i++) {
        const size_t row = candidates->list[i].row;
        all[i] = (struct scan_hit){
            .id = vectors->ids[row],
            .row = row,
            .score = dot_exact(input->query, vectors->rows + row * vectors->dim, vectors->dim)};
    }
    qsort(all, candidates->count, sizeof(*all), compare_hits);
    *found = candidates->count < input->top ? candidates->count : input->top;
    for (size_t i = 0; i < *found; i++)
        hits[i] = all[i];
    memory_free(all);
    return VKCLIP_OK;
}

static void summarise_scores(const struct topk_input *input, struct scan_statistics *statistics)
{
    const double count = (double)input->vectors->count;
    double sum = 0, squares = 0;
    for (size_t i = 0; i < topk_blocks(input->vectors->count); i++) {
        sum += (double)input->blocks[i].sum;
        squares += (double)input->blocks[i].squares;
    }
    const double mean = count > 0 ? sum / count : 0;
    const double variance = count > 0 ? squares / count - mean * mean : 0;
    *statistics =
        (struct scan_statistics){.mean = mean, .deviation = variance > 0 ? sqrt(variance) : 0};
}

int topk_finish(const struct topk_input *input, struct scan_hit *hits,
                struct scan_statistics *statistics)
{
    struct candidates candidates = {0};
    float *heap = memory_alloc(input->top * sizeof(*heap));
    int error = VKCLIP_OK;
    summarise_scores(input, statistics);
    if (!heap)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for the hits of a search");
    if (!error)
        error = find_candidates(input, 2 * dot_error(input->query, input->vectors->dim), heap,
                                &candidates);
    if (!error)
        error = rank_candidates(input, &candidates, hits, &statistics->found);
    memory_free(candidates.list);
    memory_free(heap);
    return error;
}
