/* SPDX-License-Identifier: MIT
 *
 * The scan of the processor: products of every set of instructions against double precision, and
 * hits against sorting all vectors.
 */
#define _DEFAULT_SOURCE
#include "search/dot.h"
#include "search/scan.h"
#include "search/topk.h"
#include "support/scratch.h"
#include "support/vectors.h"

/* Computes all products with one kernel, into a matrix that is wider than the result. */
static void check_products(const struct dot_kernel *kernel, size_t count, size_t dim,
                           size_t query_count)
{
    struct vectors vectors = make_vectors(count, dim);
    float *queries = make_queries(query_count, dim);
    const size_t pitch = count + 3;
    float *scores = malloc(query_count * pitch * sizeof(*scores));
    assert_non_null(scores);
    for (size_t i = 0; i < query_count * pitch; i++)
        scores[i] = NAN;
    kernel->compute(vectors.rows, count, dim, queries, query_count, scores, pitch);
    for (size_t q = 0; q < query_count; q++)
        for (size_t r = 0; r < pitch; r++) {
            const float score = scores[q * pitch + r];
            if (r >= count) {
                assert_true(isnan(score));
                continue;
            }
            double expected = 0;
            for (size_t d = 0; d < dim; d++)
                expected +=
                    (double)half_to_float(vectors.rows[r * dim + d]) * (double)queries[q * dim + d];
            if (!(fabs((double)score - expected) <= (double)dot_error(queries + q * dim, dim)))
                fail_msg("%s: dim %zu, query %zu, row %zu: %g, expected %g", kernel->name, dim, q,
                         r, (double)score, expected);
        }
    free(scores);
    free(queries);
    free_vectors(&vectors);
}

static void products(void **state)
{
    (void)state;
    const size_t dims[] = {1, 7, 8, 15, 16, 17, 33, 64, 512, 515, 1024},
                 counts[] = {1, 2, 3, 5, 66};
    size_t kernel_count, usable = 0;
    const struct dot_kernel *kernels = dot_kernels(&kernel_count);
    for (size_t k = 0; k < kernel_count; k++) {
        if (!kernels[k].is_usable())
            continue;
        printf("%s\n", kernels[k].name);
        for (size_t d = 0; d < ARRAY_COUNT(dims); d++)
            for (size_t c = 0; c < ARRAY_COUNT(counts); c++)
                for (size_t queries = 1; queries <= 9; queries += queries < 5 ? 1 : 4)
                    check_products(&kernels[k], counts[c], dims[d], queries);
        usable++;
    }
    assert_true(usable > 0 && kernels[kernel_count - 1].is_usable());
}

/* A scalar product with a query that has a single element shows every fp16 number, subnormal ones
 * too. */
static void numbers(void **state)
{
    (void)state;
    size_t kernel_count;
    const struct dot_kernel *kernels = dot_kernels(&kernel_count);
    for (size_t k = 0; k < kernel_count; k++)
        for (uint32_t bits = 0; bits < 0x10000 && kernels[k].is_usable(); bits++) {
            uint16_t row[32] = {0};
            float query[32] = {0}, score;
            if ((bits & 0x7c00) == 0x7c00) /* infinity and NaN */
                continue;
            row[bits % 32] = (uint16_t)bits;
            query[bits % 32] = 1;
            kernels[k].compute(row, 1, 32, query, 1, &score, 1);
            assert_true(score == half_to_float((uint16_t)bits));
        }
}

static void check_scan(const struct vectors *vectors, const float *queries, size_t query_count,
                       size_t top, const uint64_t *allowed, struct workers *workers)
{
    struct scan_hit *hits = malloc(query_count * top * sizeof(*hits));
    struct scan_statistics *statistics = malloc(query_count * sizeof(*statistics));
    assert_true(hits && statistics);
    if (scan_top(vectors, queries, query_count, top, allowed, workers, hits, statistics))
        fail_msg("%s", vkclip_last_error());
    for (size_t q = 0; q < query_count; q++)
        check_hits(vectors, queries + q * vectors->dim, top, allowed, hits + q * top,
                   &statistics[q]);
    free(hits);
    free(statistics);
}

static void hits(void **state)
{
    (void)state;
    const size_t counts[] = {0, 1, 63, 64, 65, 1000, 7000}, tops[] = {1, 10, 1000};
    struct workers *workers;
    assert_int_equal(workers_open(3, &workers), 0);
    for (size_t c = 0; c < ARRAY_COUNT(counts); c++) {
        struct vectors vectors = make_vectors(counts[c], 20);
        float *queries = make_queries(7, 20);
        uint64_t *some = make_mask(counts[c], 0.1), *none = make_mask(counts[c], -1);
        for (size_t t = 0; t < ARRAY_COUNT(tops); t++) {
            check_scan(&vectors, queries, 7, tops[t], NULL, NULL);
            check_scan(&vectors, queries, 7, tops[t], NULL, workers);
            check_scan(&vectors, queries, 1, tops[t], some, workers);
            check_scan(&vectors, queries, 2, tops[t], none, workers);
        }
        free(some);
        free(none);
        free(queries);
        free_vectors(&vectors);
    }
    workers_close(&workers);
}

/* Where all vectors are equal, the hits are those with the lowest ids. */
static void equal_vectors(void **state)
{
    (void)state;
    struct vectors vectors = make_vectors(3000, 16);
    float *queries = make_queries(1, 16);
    for (size_t i = 1; i < vectors.count; i++)
        memcpy((uint16_t *)vectors.rows + i * 16, vectors.rows, 32);
    check_scan(&vectors, queries, 1, 100, NULL, NULL);
    free(queries);
    free_vectors(&vectors);
}

static void bad_arguments(void **state)
{
    (void)state;
    struct vectors vectors = make_vectors(10, 4);
    float *queries = make_queries(2, 4);
    struct scan_hit hit[2];
    struct scan_statistics statistics[2];
    assert_failed(scan_top(&vectors, queries, 2, 0, NULL, NULL, hit, statistics), VKCLIP_EINVALID,
                  "expected 1 to 100000 hits");
    queries[5] = NAN;
    assert_failed(scan_top(&vectors, queries, 2, 1, NULL, NULL, hit, statistics), VKCLIP_EINVALID,
                  "query 1: expected finite numbers, found nan at element 1");
    free(queries);
    free_vectors(&vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products),      cmocka_unit_test(numbers),       cmocka_unit_test(hits),
        cmocka_unit_test(equal_vectors), cmocka_unit_test(bad_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
