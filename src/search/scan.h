/* SPDX-License-Identifier: MIT
 *
 * Finds the vectors with the largest scalar products with each of a batch of queries by computing
 * all of them, so that a result is exact. A fast pass in fp32 finds every candidate: it knows a
 * bound of its rounding errors and keeps whatever could be among the best. The scores of the
 * candidates are then summed in double precision, always in the same order, so that processors with
 * different instructions, any number of threads, and devices (resident.h) give the same results to
 * the bit. Vectors are expected to have unit length; for a query of unit length scores are then
 * cosines.
 */
#ifndef VKCLIP_SEARCH_SCAN_H
#define VKCLIP_SEARCH_SCAN_H

#include "base/workers.h"
#include "search/hit.h"

/* Finds the `top` best allowed vectors for each query of `queries` [query_count,dim]. The hits of
 * query q begin at hits[q * top], in descending order of their scores; equal scores are in
 * ascending order of ids. Bit (row % 64) of allowed[row / 64] says whether a row may be a hit;
 * without a mask all may. `statistics` has one element per query. Fails with EINVALID if a
 * query has a value that is not finite or `top` is not from 1 to HIT_MOST_TOP. */
int scan_top(const struct vectors *vectors, const float *queries, size_t query_count, size_t top,
             const uint64_t *allowed, struct workers *workers, struct scan_hit *hits,
             struct scan_statistics *statistics);

#endif
