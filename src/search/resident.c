/* SPDX-License-Identifier: MIT
 *
 * Searches vectors in a device's memory.
 */
#include "search/resident.h"

#include "base/array.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/turns.h"
#include "runtime/plan.h"
#include "runtime/upload.h"

#include <stdio.h>
#include <stdlib.h>

/* A chunk's graph for one number of queries, with its tensors. */
struct chunk_plan {
    struct plan *plan;
    int queries, mask, scores, maxima;
};

struct chunk {
    size_t first, count;
    struct chunk_plan one, many; /* for one query, and for a batch; made when they are first used */
    struct chunk_plan *last;     /* that was submitted last */
    bool under_way;              /* it was not waited for yet */
};

struct resident {
    struct resident_params params;
    struct chunk *chunks;
    size_t chunk_count;
    size_t chunk_rows; /* of all chunks but the last */
    struct weight_store *weights;
    struct arena arena;
};

/* ---- The vectors as weights ------------------------------------------------------------------ */

#define CHUNK_NAME "vectors."

/* Is the `row_length` of a row_reader. */
static uint64_t count_values(const void *user, const char *tensor)
{
    (void)tensor;
    return ((const struct resident *)user)->params.vectors->dim;
}

/* Is the `read` of a row_reader. */
static int read_rows(const void *user, const char *tensor, const char *norm, uint64_t first,
                     uint64_t count, float *values)
{
    (void)norm;
    const struct resident *resident = user;
    const struct vectors *vectors = resident->params.vectors;
    const size_t chunk = strtoul(tensor + sizeof(CHUNK_NAME) - 1, NULL, 10);
    const uint16_t *rows = vectors->rows + (resident->chunks[chunk].first + first) * vectors->dim;
    for (size_t i = 0; i < count * vectors->dim; i++)
        values[i] = half_to_float(rows[i]);
    return VKCLIP_OK;
}

/* Builds the graph of a chunk for `batch` queries. */
static int build_graph(const struct resident *resident, size_t number, uint32_t batch,
                       struct graph *graph, struct chunk_plan *tensors)
{
    const struct chunk *chunk = &resident->chunks[number];
    const uint32_t rows = (uint32_t)chunk->count, dim = (uint32_t)resident->params.vectors->dim;
    const uint32_t queries[] = {batch, dim}, vectors[] = {rows, dim}, mask = (rows + 31) / 32;
    char name[64];
    snprintf(name, sizeof(name), CHUNK_NAME "%zu", number);
    graph_init(graph, TYPE_F32);
    tensors->queries = graph_input(graph, "queries", TYPE_F32, 2, queries);
    tensors->mask = graph_input(graph, "mask", TYPE_I32, 1, &mask);
    tensors->scores = graph_matmul(graph, "scores", tensors->queries,
                                   graph_weight(graph, name, LAYOUT_PANELS, 2, vectors), -1, 0, -1);
    tensors->maxima = graph_maxima(graph, "maxima", tensors->scores, tensors->mask);
    graph_pack(graph, TYPE_F16);
    return graph->error;
}

/* Takes memory for all chunks and fills it. */
static int upload_chunks(struct resident *resident)
{
    const struct row_reader reader = {resident, "the index", count_values, read_rows};
    struct graph *graphs = memory_calloc(resident->chunk_count, sizeof(*graphs));
    const struct graph **list = memory_calloc(resident->chunk_count, sizeof(*list));
    struct chunk_plan tensors;
    int error = VKCLIP_OK;
    if (!graphs || !list)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for vectors on a device");
    for (size_t i = 0; i < resident->chunk_count && !error; i++) {
        error = build_graph(resident, i, 1, &graphs[i], &tensors);
        list[i] = &graphs[i];
    }
    if (!error)
        error = weight_store_create(resident->params.gpu, list, resident->chunk_count,
                                    &resident->weights);
    if (!error) {
        const bool pauses = turn_allow_pauses(true);
        error = upload_weights(resident->params.gpu, resident->weights, &reader);
        turn_allow_pauses(pauses);
    }
    for (size_t i = 0; graphs && i < resident->chunk_count; i++)
        graph_free(&graphs[i]);
    memory_free(graphs);
    memory_free(list);
    return error;
}

/* ---- Opening and closing --------------------------------------------------------------------- */

/* Computes how many vectors a chunk has: one binding must span them, and the scores of a batch. */
static int choose_rows(const struct resident_params *params, size_t *rows)
{
    const uint64_t range = gpu_limits(params->gpu)->buffer_range;
    const uint64_t by_vectors = range / (params->vectors->dim * sizeof(uint16_t));
    const uint64_t by_scores = range / (params->batch * sizeof(float));
    uint64_t most = by_vectors < by_scores ? by_vectors : by_scores;
    if (params->chunk_rows && params->chunk_rows < most)
        most = params->chunk_rows;
    *rows = most / MAXIMA_BLOCK * MAXIMA_BLOCK;
    if (!*rows)
        return error_fail(
            VKCLIP_EUNSUPPORTED,
            "%s: cannot bind %d vectors of %zu values or a batch of %u queries at once",
            gpu_info(params->gpu)->name, MAXIMA_BLOCK, params->vectors->dim, params->batch);
    return VKCLIP_OK;
}

static int cut_chunks(struct resident *resident)
{
    const size_t count = resident->params.vectors->count;
    int error = choose_rows(&resident->params, &resident->chunk_rows);
    if (error)
        return error;
    resident->chunk_count = (count + resident->chunk_rows - 1) / resident->chunk_rows;
    resident->chunks = memory_calloc(resident->chunk_count + 1, sizeof(*resident->chunks));
    if (!resident->chunks)
        return error_fail(VKCLIP_EMEMORY, "out of memory for vectors on a device");
    for (size_t i = 0; i < resident->chunk_count; i++) {
        struct chunk *chunk = &resident->chunks[i];
        chunk->first = i * resident->chunk_rows;
        chunk->count = count - chunk->first < resident->chunk_rows ? count - chunk->first
                                                                   : resident->chunk_rows;
    }
    return VKCLIP_OK;
}

int resident_open(const struct resident_params *params, struct resident **result)
{
    struct resident *resident = *result = memory_calloc(1, sizeof(*resident));
    if (!resident)
        return error_fail(VKCLIP_EMEMORY, "out of memory for vectors on a device");
    resident->params = *params;
    resident->arena = (struct arena){.gpu = params->gpu, .memory = GPU_ANY};
    int error = cut_chunks(resident);
    if (!error && resident->chunk_count)
        error = upload_chunks(resident);
    if (error)
        resident_close(result);
    return error;
}

void resident_close(struct resident **handle)
{
    struct resident *resident = *handle;
    if (!resident)
        return;
    for (size_t i = 0; resident->chunks && i < resident->chunk_count; i++) {
        plan_destroy(&resident->chunks[i].one.plan);
        plan_destroy(&resident->chunks[i].many.plan);
    }
    memory_free(resident->chunks);
    arena_release(&resident->arena);
    weight_store_destroy(&resident->weights);
    memory_free(resident);
    *handle = NULL;
}

/* ---- One chunk ------------------------------------------------------------------------------- */

static int make_plan(struct resident *resident, size_t number, uint32_t batch,
                     struct chunk_plan *result)
{
    struct graph graph;
    int error = build_graph(resident, number, batch, &graph, result);
    const int outputs[] = {result->scores, result->maxima};
    const struct plan_params params = {.gpu = resident->params.gpu,
                                       .tuner = resident->params.tuner,
                                       .weights = resident->weights,
                                       .arena = &resident->arena,
                                       .outputs = outputs,
                                       .output_count = ARRAY_COUNT(outputs)};
    if (!error) {
        const bool pauses = turn_allow_pauses(true);
        error = plan_create(&params, &graph, &result->plan);
        turn_allow_pauses(pauses);
    }
    graph_free(&graph);
    return error;
}

bool resident_get_chunk(const struct resident *resident, size_t number,
                        struct resident_chunk *chunk)
{
    if (number >= resident->chunk_count)
        return false;
    *chunk =
        (struct resident_chunk){resident->chunks[number].first, resident->chunks[number].count};
    return true;
}

/* Writes the mask of a chunk, whose words of 64 bits are two words of 32 bits there. */
static void write_mask(const struct chunk *chunk, const struct chunk_plan *plan,
                       const uint64_t *allowed)
{
    for (size_t block = 0; block < topk_blocks(chunk->count); block++) {
        const uint64_t word = allowed ? allowed[chunk->first / MAXIMA_BLOCK + block] : UINT64_MAX;
        const int32_t halves[] = {(int32_t)(uint32_t)word, (int32_t)(uint32_t)(word >> 32)};
        const bool both = chunk->count - block * MAXIMA_BLOCK > MAXIMA_BLOCK / 2;
        plan_write_ids(plan->plan, plan->mask, 2 * block, halves, both ? 2 : 1);
    }
}

int resident_submit(struct resident *resident, const float *queries, size_t query_count,
                    const uint64_t *allowed, size_t number)
{
    struct chunk *chunk = &resident->chunks[number];
    struct chunk_plan *plan = query_count == 1 ? &chunk->one : &chunk->many;
    int error = VKCLIP_OK;
    if (!plan->plan)
        error = make_plan(resident, number, query_count == 1 ? 1 : resident->params.batch, plan);
    if (!error)
        error = plan_begin(plan->plan);
    if (error)
        return error;
    plan_write(plan->plan, plan->queries, 0, queries, query_count * resident->params.vectors->dim);
    write_mask(chunk, plan, allowed);
    error = plan_submit(plan->plan);
    chunk->last = plan;
    chunk->under_way = !error;
    return error;
}

int resident_wait(struct resident *resident, size_t number)
{
    struct chunk *chunk = &resident->chunks[number];
    if (number >= resident->chunk_count || !chunk->under_way)
        return VKCLIP_OK;
    chunk->under_way = false;
    return plan_wait(chunk->last->plan);
}

void resident_read_blocks(const struct resident *resident, size_t number, size_t query,
                          struct topk_block *blocks)
{
    const struct chunk *chunk = &resident->chunks[number];
    const size_t values = topk_blocks(chunk->count) * sizeof(*blocks) / sizeof(float);
    plan_read(chunk->last->plan, chunk->last->maxima, query * values, &blocks->best, values);
}

void resident_read_scores(const struct resident *resident, size_t number, size_t query,
                          size_t first, size_t count, float *scores)
{
    const struct chunk *chunk = &resident->chunks[number];
    plan_read(chunk->last->plan, chunk->last->scores, query * chunk->count + first, scores, count);
}

/* ---- The best of all chunks ------------------------------------------------------------------ */

/* A batch of queries whose scores are computed. */
struct search {
    const struct resident *resident;
    const float *queries;
    size_t top;
    const uint64_t *allowed;
    struct topk_block *blocks; /* [batch,blocks] */
    struct scan_hit *hits;
    struct scan_statistics *statistics;
};

/* One query of a batch. */
struct reader {
    const struct resident *resident;
    size_t query;
};

/* Is the `read` of a topk_input. */
static void read_scores(const void *user, size_t first, size_t count, float *scores)
{
    const struct reader *reader = user;
    const size_t rows = reader->resident->chunk_rows;
    resident_read_scores(reader->resident, first / rows, reader->query, first % rows, count,
                         scores);
}

/* Is a workers_job_fn: finds the hits of one query. */
static int finish_query(void *user, size_t index, unsigned thread)
{
    (void)thread;
    const struct search *search = user;
    const struct resident *resident = search->resident;
    const struct vectors *vectors = resident->params.vectors;
    struct topk_block *blocks = search->blocks + index * topk_blocks(vectors->count);
    for (size_t i = 0; i < resident->chunk_count; i++)
        resident_read_blocks(resident, i, index, blocks + resident->chunks[i].first / MAXIMA_BLOCK);
    const struct reader reader = {resident, index};
    const struct topk_input input = {.vectors = vectors,
                                     .allowed = search->allowed,
                                     .top = search->top,
                                     .query = search->queries + index * vectors->dim,
                                     .blocks = blocks,
                                     .read = read_scores,
                                     .user = &reader};
    return topk_finish(&input, search->hits + index * search->top, &search->statistics[index]);
}

static int search_batch(struct resident *resident, struct search *search, size_t query_count)
{
    int error = VKCLIP_OK;
    for (size_t i = 0; i < resident->chunk_count && !error; i++)
        error = resident_submit(resident, search->queries, query_count, search->allowed, i);
    for (size_t i = 0; i < resident->chunk_count; i++) {
        const int wait_error = resident_wait(resident, i);
        error = error ? error : wait_error;
    }
    if (!error)
        error = workers_run(gpu_workers(resident->params.gpu), finish_query, search, query_count);
    return error;
}

int resident_top(struct resident *resident, const float *queries, size_t query_count, size_t top,
                 const uint64_t *allowed, struct scan_hit *hits, struct scan_statistics *statistics)
{
    const struct vectors *vectors = resident->params.vectors;
    const size_t most = resident->params.batch < query_count ? resident->params.batch : query_count;
    struct search search = {
        .resident = resident,
        .top = top,
        .allowed = allowed,
        .blocks = memory_alloc((most * topk_blocks(vectors->count) + 1) * sizeof(*search.blocks))};
    int error = topk_check(queries, query_count, vectors->dim, top);
    if (!error && !search.blocks)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for the scores of %zu vectors",
                           vectors->count);
    for (size_t first = 0, count; first < query_count && !error; first += count) {
        count = query_count - first < most ? query_count - first : most;
        search.queries = queries + first * vectors->dim;
        search.hits = hits + first * top;
        search.statistics = statistics + first;
        error = search_batch(resident, &search, count);
    }
    memory_free(search.blocks);
    return error;
}
