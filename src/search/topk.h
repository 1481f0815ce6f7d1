/* SPDX-License-Identifier: MIT
 *
 * The last step of a search, which the processor's scan and the device share: it turns the best
 * score of every block of MAXIMA_BLOCK vectors into the best vectors. Of `top` blocks the worst
 * maximum is at most the score of the last hit, because each of these blocks has a score at least
 * as large. Only blocks that reach this bound are looked at, so that a search of a million vectors
 * reads a few thousand scores.
 */
#ifndef VKCLIP_SEARCH_TOPK_H
#define VKCLIP_SEARCH_TOPK_H

#include "search/hit.h"

#include "shaders/args.h"

/* Describes the scores of a block as the op MAXIMA does. */
struct topk_block {
    float best;         /* the largest score of an allowed vector; TOPK_NONE if there is none */
    float sum, squares; /* of the scores of all vectors */
};
#define TOPK_NONE MAXIMA_NONE

static inline size_t topk_blocks(size_t count)
{
    return count / MAXIMA_BLOCK + (count % MAXIMA_BLOCK != 0);
}

/* Describes `count` scores, of which `allowed` allows those with a bit set. */
struct topk_block topk_describe(const float *scores, size_t count, uint64_t allowed);

struct topk_input {
    const struct vectors *vectors;
    const uint64_t *allowed; /* see scan_top */
    size_t top;
    const float *query;              /* [dim] */
    const struct topk_block *blocks; /* of all vectors */
    /* Reads scores of this query, from vector `first` on, all in one block. */
    void (*read)(const void *user, size_t first, size_t count, float *scores);
    const void *user;
};

/* Finds the hits and the statistics of one query. */
int topk_finish(const struct topk_input *input, struct scan_hit *hits,
                struct scan_statistics *statistics);

/* Fails with EINVALID if a query has a value that is not finite, or if `top` is 0 or more than
 * HIT_MOST_TOP. */
int topk_check(const float *queries, size_t query_count, size_t dim, size_t top);

#endif
