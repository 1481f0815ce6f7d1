/* SPDX-License-Identifier: MIT
 *
 * Keeps the vectors of a model in a device's memory, for many searches of the same vectors. Scores
 * are a MATMUL of the queries with the vectors, and MAXIMA describes each block of them; topk.h
 * turns that into hits, so that they are those of scan_top to the bit. The vectors lie in chunks,
 * each of which one binding spans, because many devices bind 128 MB at most.
 */
#ifndef VKCLIP_SEARCH_RESIDENT_H
#define VKCLIP_SEARCH_RESIDENT_H

#include "search/topk.h"

struct gpu;
struct tuner;
struct resident;

struct resident_params {
    struct gpu *gpu;
    struct tuner *tuner; /* chooses the kernels; NULL for the fixed order */
    const struct vectors *vectors;
    uint32_t batch;      /* queries that are computed at once, at most */
    uint32_t chunk_rows; /* vectors of a chunk, at most; 0: as many as one binding spans */
};

/* Copies the vectors to the device. They and the GPU must outlive the result. */
int resident_open(const struct resident_params *params, struct resident **resident);
void resident_close(struct resident **resident);

/* Finds hits as scan_top does. Fails with ELOST if the device is lost. */
int resident_top(struct resident *resident, const float *queries, size_t query_count, size_t top,
                 const uint64_t *allowed, struct scan_hit *hits,
                 struct scan_statistics *statistics);

/* ---- One chunk at a time --------------------------------------------------------------------- */

struct resident_chunk {
    size_t first, count; /* vectors; `first` is a multiple of MAXIMA_BLOCK */
};
/* Returns false after the last chunk. */
bool resident_get_chunk(const struct resident *resident, size_t number,
                        struct resident_chunk *chunk);
/* Starts to compute the scores of up to `batch` queries with the vectors of a chunk, after the
 * chunks that were submitted before. A chunk must not be submitted again before it was waited for.
 */
int resident_submit(struct resident *resident, const float *queries, size_t query_count,
                    const uint64_t *allowed, size_t chunk);
/* Waits for a chunk, or returns at once if it was not submitted. */
int resident_wait(struct resident *resident, size_t chunk);
/* Reads what the last run of a chunk computed for query number `query`: the descriptions of all of
 * the chunk's blocks, or some scores, where `first` counts from the chunk's first vector. */
void resident_read_blocks(const struct resident *resident, size_t chunk, size_t query,
                          struct topk_block *blocks);
void resident_read_scores(const struct resident *resident, size_t chunk, size_t query, size_t first,
                          size_t count, float *scores);

#endif
