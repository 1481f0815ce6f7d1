/* SPDX-License-Identifier: MIT
 *
 * Hits of a device against sorting all vectors, with vectors in one and in many chunks.
 */
#include "search/resident.h"
#include "support/open_gpu.h"
#include "support/vectors.h"

static struct gpu *gpu;

static void check_resident(struct resident *resident, const struct vectors *vectors,
                           const float *queries, size_t query_count, size_t top,
                           const uint64_t *allowed)
{
    struct scan_hit *hits = malloc(query_count * top * sizeof(*hits));
    struct scan_statistics *statistics = malloc(query_count * sizeof(*statistics));
    assert_true(hits && statistics);
    if (resident_top(resident, queries, query_count, top, allowed, hits, statistics))
        fail_msg("%s", vkclip_last_error());
    for (size_t q = 0; q < query_count; q++)
        check_hits(vectors, queries + q * vectors->dim, top, allowed, hits + q * top,
                   &statistics[q]);
    free(hits);
    free(statistics);
}

static void check_shape(size_t count, size_t dim, uint32_t batch, uint32_t chunk_rows)
{
    struct vectors vectors = make_vectors(count, dim);
    float *queries = make_queries(5, dim);
    uint64_t *mask = make_mask(count, 0.3);
    const struct resident_params params = {
        .gpu = gpu, .vectors = &vectors, .batch = batch, .chunk_rows = chunk_rows};
    struct resident *resident;
    assert_int_equal(resident_open(&params, &resident), 0);
    check_resident(resident, &vectors, queries, 5, 10, NULL);
    check_resident(resident, &vectors, queries, 1, 1000, mask);
    check_resident(resident, &vectors, queries, 5, 3, mask);
    check_resident(resident, &vectors, queries + dim, 1, 100, NULL);
    resident_close(&resident);
    free(mask);
    free(queries);
    free_vectors(&vectors);
}

static void hits(void **state)
{
    (void)state;
    check_shape(0, 16, 4, 0);
    check_shape(1, 1, 4, 0);
    check_shape(97, 64, 4, 64);
    check_shape(1000, 33, 2, 192);
    check_shape(3000, 128, 8, 0);
}

/* A device that binds little gets chunks that it can bind. */
static void small_bindings(void **state)
{
    (void)state;
    const struct gpu_limits before = *gpu_limits(gpu);
    changeable_limits(gpu)->buffer_range = 20000;
    check_shape(1000, 64, 4, 0);
    struct vectors vectors = make_vectors(10, 2000);
    const struct resident_params params = {.gpu = gpu, .vectors = &vectors, .batch = 1};
    struct resident *resident;
    assert_int_equal(resident_open(&params, &resident), VKCLIP_EUNSUPPORTED);
    assert_null(resident);
    free_vectors(&vectors);
    *changeable_limits(gpu) = before;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(hits), cmocka_unit_test(small_bindings)};
    gpu = open_gpu("");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    gpu_close(&gpu);
    return failed;
}
