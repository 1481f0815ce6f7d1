/* SPDX-License-Identifier: MIT
 *
 * Scans all vectors on the processor.
 */
#include "search/scan.h"

#include "base/memory.h"
#include "search/dot.h"
#include "search/topk.h"

/* Blocks of vectors that one job takes: a job of 512 kB of vectors stays in the second level of the
 * cache while a batch of queries passes over it, and takes much longer than starting it. */
#define JOB_BLOCKS 8
/* Scores of a batch of queries that are kept at a time: 64 MB. */
#define MOST_SCORES (16u << 20)

/* A batch of queries under way. */
struct scan {
    const struct vectors *vectors;
    const float *queries;
    size_t query_count, top;
    const uint64_t *allowed;
    const struct dot_kernel *kernel;
    float *scores;             /* [query_count,vectors->count] */
    struct topk_block *blocks; /* [query_count,blocks] */
    struct scan_hit *hits;
    struct scan_statistics *statistics;
};

/* Is a workers_job_fn: computes the scores of some blocks. */
static int score_blocks(void *user, size_t index, unsigned thread)
{
    (void)thread;
    const struct scan *scan = user;
    const size_t count = scan->vectors->count, dim = scan->vectors->dim;
    const size_t first = index * JOB_BLOCKS * MAXIMA_BLOCK, left = count - first;
    const size_t rows = left < JOB_BLOCKS * MAXIMA_BLOCK ? left : JOB_BLOCKS * MAXIMA_BLOCK;
    scan->kernel->compute(scan->vectors->rows + first * dim, rows, dim, scan->queries,
                          scan->query_count, scan->scores + first, count);
    for (size_t q = 0; q < scan->query_count; q++)
        for (size_t row = first; row < first + rows; row += MAXIMA_BLOCK) {
            const size_t block = row / MAXIMA_BLOCK, rest = first + rows - row;
            scan->blocks[q * topk_blocks(count) + block] = topk_describe(
                scan->scores + q * count + row, rest < MAXIMA_BLOCK ? rest : MAXIMA_BLOCK,
                scan->allowed ? scan->allowed[block] : UINT64_MAX);
        }
    return VKCLIP_OK;
}

/* Is the `read` of a topk_input, whose `user` are the scores of the query. */
static void read_scores(const void *user, size_t first, size_t count, float *scores)
{
    const float *from = (const float *)user + first;
    for (size_t i = 0; i < count; i++)
        scores[i] = from[i];
}

/* Is a workers_job_fn: finds the hits of one query. */
static int finish_query(void *user, size_t index, unsigned thread)
{
    (void)thread;
    const struct scan *scan = user;
    const size_t count = scan->vectors->count;
    const struct topk_input input = {.vectors = scan->vectors,
                                     .allowed = scan->allowed,
                                     .top = scan->top,
                                     .query = scan->queries + index * scan->vectors->dim,
                                     .blocks = scan->blocks + index * topk_blocks(count),
                                     .read = read_scores,
                                     .user = scan->scores + index * count};
    return topk_finish(&input, scan->hits + index * scan->top, &scan->statistics[index]);
}

static int scan_batch(struct scan *scan, struct workers *workers)
{
    const size_t blocks = topk_blocks(scan->vectors->count);
    int error = workers_run(workers, score_blocks, scan, (blocks + JOB_BLOCKS - 1) / JOB_BLOCKS);
    return error ? error : workers_run(workers, finish_query, scan, scan->query_count);
}

int scan_top(const struct vectors *vectors, const float *queries, size_t query_count, size_t top,
             const uint64_t *allowed, struct workers *workers, struct scan_hit *hits,
             struct scan_statistics *statistics)
{
    const size_t count = vectors->count, most = count < MOST_SCORES ? MOST_SCORES / (count + 1) : 1;
    const size_t batch = query_count < most ? query_count : most;
    struct scan scan = {.vectors = vectors,
                        .top = top,
                        .allowed = allowed,
                        .kernel = dot_fastest(),
                        .scores = memory_alloc((batch * count + 1) * sizeof(*scan.scores)),
                        .blocks =
                            memory_alloc((batch * topk_blocks(count) + 1) * sizeof(*scan.blocks))};
    int error = topk_check(queries, query_count, vectors->dim, top);
    if (!error && (!scan.scores || !scan.blocks))
        error = error_fail(VKCLIP_EMEMORY, "out of memory for the scores of %zu vectors", count);
    for (size_t first = 0; first < query_count && !error; first += scan.query_count) {
        scan.query_count = query_count - first < batch ? query_count - first : batch;
        scan.queries = queries + first * vectors->dim;
        scan.hits = hits + first * top;
        scan.statistics = statistics + first;
        error = scan_batch(&scan, workers);
    }
    memory_free(scan.scores);
    memory_free(scan.blocks);
    return error;
}
