/* SPDX-License-Identifier: MIT
 *
 * Times searches of random vectors: the processor's scan and the device's, beside the time in which
 * the same threads read the same bytes, which no exact search can beat.
 */
#include "base/array.h"
#include "base/clock.h"
#include "base/half.h"
#include "base/string.h"
#include "bench.h"
#include "runtime/tune.h"
#include "search/dot.h"
#include "search/pairs.h"
#include "search/resident.h"
#include "search/scan.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 100, QUERIES = 16, RUNS = 7, GROUP = 1024 };

/* ---- Vectors --------------------------------------------------------------------------------- */

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Fills a vector of unit length. */
static void fill_vector(uint32_t *state, float *values, size_t dim)
{
    double squares = 0;
    for (size_t i = 0; i < dim; i++) {
        values[i] = (float)(next_random(state) >> 8) / (1 << 23) - 1;
        squares += (double)values[i] * (double)values[i];
    }
    for (size_t i = 0; i < dim; i++)
        values[i] = (float)((double)values[i] / sqrt(squares));
}

/* Writes a file of random vectors, as an index has it, and maps it. */
static int map_vectors(const char *path, size_t count, size_t dim, struct workers *workers,
                       struct vectors *vectors)
{
    struct vectors_key key = {.model = "random", .dim = dim};
    struct vectors_file *file = NULL;
    float *row = malloc(dim * sizeof(*row));
    uint16_t *rows = malloc(GROUP * dim * sizeof(*rows));
    int64_t ids[GROUP];
    uint32_t state = 1;
    int error = row && rows ? vectors_write(path, &key, &file) : VKCLIP_EMEMORY;
    for (size_t first = 0; first < count && !error; first += GROUP) {
        const size_t group = count - first < GROUP ? count - first : GROUP;
        for (size_t i = 0; i < group; i++) {
            ids[i] = (int64_t)(first + i + 1);
            fill_vector(&state, row, dim);
            for (size_t d = 0; d < dim; d++)
                rows[i * dim + d] = half_from_float(row[d]);
        }
        error = vectors_add(file, ids, rows, group);
    }
    if (file)
        error = vectors_write_end(&file, workers, error);
    free(row);
    free(rows);
    if (!error && !vectors_map(path, &key, workers, vectors))
        error = error_fail(VKCLIP_EIO, "%s: cannot be read again", path);
    remove(path);
    return error;
}

/* ---- Times ----------------------------------------------------------------------------------- */

struct bench_search {
    struct gpu *gpu;
    struct tuner *tuner;
    struct vectors vectors;
    struct workers *workers;
    struct resident *resident;
    const float *queries;
    size_t query_count;
    struct scan_hit hits[QUERIES * TOP];
    struct scan_statistics statistics[QUERIES];
    uint64_t sum; /* so that the compiler must read the bytes */
};

#define PART_BYTES (1u << 19)

/* Is a workers_job_fn: adds up the words of a part of the vectors. */
static int read_part(void *user, size_t index, unsigned thread)
{
    (void)thread;
    struct bench_search *search = user;
    const size_t bytes = search->vectors.count * search->vectors.dim * sizeof(uint16_t);
    const uint64_t *words = (const uint64_t *)(const void *)search->vectors.rows;
    const size_t first = index * PART_BYTES, end = first + PART_BYTES;
    uint64_t sum = 0;
    for (size_t i = first / 8; i < (end < bytes ? end : bytes) / 8; i++)
        sum += words[i];
    __atomic_fetch_add(&search->sum, sum, __ATOMIC_RELAXED);
    return VKCLIP_OK;
}

static int read_bytes(struct bench_search *search)
{
    const size_t bytes = search->vectors.count * search->vectors.dim * sizeof(uint16_t);
    return workers_run(search->workers, read_part, search, (bytes + PART_BYTES - 1) / PART_BYTES);
}

static int scan_host(struct bench_search *search)
{
    return scan_top(&search->vectors, search->queries, search->query_count, TOP, NULL,
                    search->workers, search->hits, search->statistics);
}

static int scan_device(struct bench_search *search)
{
    return resident_top(search->resident, search->queries, search->query_count, TOP, NULL,
                        search->hits, search->statistics);
}

static const struct {
    const char *name;
    int (*run)(struct bench_search *);
    size_t queries;
} rows[] = {{"read the bytes", read_bytes, 0},
            {"processor, 1 query", scan_host, 1},
            {"device, 1 query", scan_device, 1},
            {"processor, 16 queries", scan_host, QUERIES},
            {"device, 16 queries", scan_device, QUERIES}};

static double find_median(const double values[RUNS])
{
    double sorted[RUNS];
    memcpy(sorted, values, sizeof(sorted));
    qsort(sorted, RUNS, sizeof(*sorted), array_compare_doubles);
    return sorted[RUNS / 2];
}

/* Runs everything in turn, so that other work on the machine slows all of it alike. The first round
 * is not counted. */
static int time_rounds(struct bench_search *search, double times[ARRAY_COUNT(rows)][RUNS])
{
    int error = VKCLIP_OK;
    for (int round = -1; round < RUNS; round++)
        for (size_t i = 0; i < ARRAY_COUNT(rows) && !error; i++) {
            const double before = clock_seconds();
            search->query_count = rows[i].queries;
            error = rows[i].run(search);
            if (round >= 0)
                times[i][round] = clock_seconds() - before;
        }
    return error;
}

/* Prints medians: of the times, and of what each is of the reading in the same round. */
static int print_times(struct bench_search *search)
{
    const double bytes = (double)(search->vectors.count * search->vectors.dim * sizeof(uint16_t));
    double times[ARRAY_COUNT(rows)][RUNS], shares[RUNS];
    int error = time_rounds(search, times);
    if (error)
        return error;
    puts("what                      ms   GB/s  times the reading");
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        const double seconds = find_median(times[i]);
        for (int round = 0; round < RUNS; round++)
            shares[round] = times[i][round] / times[0][round];
        printf("%-22s %7.1f %6.1f %6.2f\n", rows[i].name, 1e3 * seconds, bytes / seconds / 1e9,
               find_median(shares));
    }
    return VKCLIP_OK;
}

/* ---- Pairs ----------------------------------------------------------------------------------- */

/* Is the `found` of pairs_params. */
static int count_pair(void *user, const struct pair *pair)
{
    (void)pair;
    ++*(size_t *)user;
    return VKCLIP_OK;
}

static int time_pairs(const struct bench_search *search)
{
    const struct vectors *vectors = &search->vectors;
    const double before = clock_seconds(), count = (double)vectors->count;
    size_t found = 0;
    const struct pairs_params params = {.gpu = search->gpu,
                                        .tuner = search->tuner,
                                        .vectors = vectors,
                                        .least = 0.99,
                                        .found = count_pair,
                                        .user = &found};
    int error = pairs_find(&params);
    const double seconds = clock_seconds() - before;
    if (!error)
        printf("all pairs: %.1f s, %.1f GFLOP/s, %zu found\n", seconds,
               count * count * (double)vectors->dim / seconds / 1e9, found);
    return error;
}

/* ---- The command ----------------------------------------------------------------------------- */

/* Reads "1000000x512". */
static int parse_shape(const char *text, size_t *count, size_t *dim)
{
    char rest;
    if (sscanf(text ? text : "1000000x512", "%zux%zu%c", count, dim, &rest) != 2 || !*count ||
        !*dim)
        return error_fail(VKCLIP_EINVALID, "--shape: expected VECTORSxVALUES, found '%s'", text);
    return VKCLIP_OK;
}

static int open_search(const struct options *options, struct bench_search *search)
{
    const char *folder = getenv("TMPDIR");
    char *path = string_format("%s/vkclip-bench.vectors", folder ? folder : "/tmp");
    size_t count = 0, dim = 0;
    int error = path ? parse_shape(options->shape, &count, &dim) : VKCLIP_EMEMORY;
    if (!error)
        error = workers_open(0, &search->workers);
    if (!error)
        error = map_vectors(path, count, dim, search->workers, &search->vectors);
    if (!error)
        error = bench_open(options, false, &search->gpu, &search->tuner);
    free(path);
    if (!error)
        printf("%zu vectors of %zu, best %d; %u threads with %s; %s\n", count, dim, TOP,
               workers_threads(search->workers), dot_fastest()->name, gpu_info(search->gpu)->name);
    return error;
}

static int time_searches(struct bench_search *search)
{
    const size_t dim = search->vectors.dim;
    const struct resident_params params = {
        .gpu = search->gpu, .tuner = search->tuner, .vectors = &search->vectors, .batch = QUERIES};
    float *queries = malloc(QUERIES * dim * sizeof(*queries));
    uint32_t state = 77;
    int error = queries ? resident_open(&params, &search->resident) : VKCLIP_EMEMORY;
    for (int q = 0; q < QUERIES && !error; q++)
        fill_vector(&state, queries + q * dim, dim);
    search->queries = queries;
    if (!error)
        error = print_times(search);
    free(queries);
    return error;
}

int bench_search(const struct options *options)
{
    struct bench_search *search = calloc(1, sizeof(*search));
    if (!search)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a search");
    int error = open_search(options, search);
    if (!error)
        error = options->pairs ? time_pairs(search) : time_searches(search);
    resident_close(&search->resident);
    vectors_close(&search->vectors);
    workers_close(&search->workers);
    tune_close(&search->tuner);
    gpu_close(&search->gpu);
    free(search);
    return error;
}
