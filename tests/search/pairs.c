/* SPDX-License-Identifier: MIT
 *
 * Pairs of a device against comparing all with all.
 */
#include "search/pairs.h"
#include "base/progress.h"
#include "search/shorten.h"
#include "support/open_gpu.h"
#include "support/vectors.h"

static struct gpu *gpu;

struct found {
    const struct vectors *vectors;
    double least;
    const uint64_t *allowed;
    uint8_t *matrix; /* [count,count], 1 where a pair was found */
    size_t count;
};

static double cosine_of(const struct vectors *vectors, size_t a, size_t b)
{
    double product = 0, squares_a = 0, squares_b = 0;
    for (size_t i = 0; i < vectors->dim; i++) {
        const double x = (double)half_to_float(vectors->rows[a * vectors->dim + i]);
        const double y = (double)half_to_float(vectors->rows[b * vectors->dim + i]);
        product += x * y;
        squares_a += x * x;
        squares_b += y * y;
    }
    return product / sqrt(squares_a * squares_b);
}

static int note_pair(void *user, const struct pair *pair)
{
    struct found *found = user;
    uint8_t *cell = &found->matrix[pair->a * found->vectors->count + pair->b];
    assert_true(pair->a < pair->b && pair->b < found->vectors->count && !*cell);
    assert_true(fabs(pair->cosine - cosine_of(found->vectors, pair->a, pair->b)) < 1e-9);
    *cell = 1;
    found->count++;
    return 0;
}

static void check_pairs(const struct vectors *vectors, double least, const uint64_t *allowed)
{
    const size_t count = vectors->count;
    struct found found = {vectors, least, allowed, calloc(count * count + 1, 1), 0};
    size_t expected = 0;
    assert_non_null(found.matrix);
    const struct pairs_params params = {.gpu = gpu,
                                        .vectors = vectors,
                                        .least = least,
                                        .allowed = allowed,
                                        .found = note_pair,
                                        .user = &found};
    if (pairs_find(&params))
        fail_msg("%s", vkclip_last_error());
    for (size_t a = 0; a < count; a++)
        for (size_t b = a + 1; b < count; b++) {
            const double cosine = cosine_of(vectors, a, b);
            const bool wanted =
                cosine >= least &&
                (!allowed || ((allowed[a / 64] >> a % 64 & 1) && (allowed[b / 64] >> b % 64 & 1)));
            expected += wanted;
            if (wanted != found.matrix[a * count + b] && fabs(cosine - least) > 1e-9)
                fail_msg("%zu and %zu: cosine %g, %s", a, b, cosine,
                         wanted ? "not found" : "found");
        }
    assert_true(expected > 0 || count < 8);
    free(found.matrix);
}

static void all_pairs(void **state)
{
    (void)state;
    const size_t counts[] = {0, 1, 2, 513, 1100}, dims[] = {24, 24, 300, 24, 24};
    for (size_t c = 0; c < ARRAY_COUNT(counts); c++) {
        struct vectors vectors = make_vectors(counts[c], dims[c]);
        uint64_t *mask = make_mask(counts[c], 0.9);
        check_pairs(&vectors, 0.99, NULL);
        check_pairs(&vectors, 0.6, counts[c] > 500 ? mask : NULL);
        free(mask);
        free_vectors(&vectors);
    }
}

static double product_of(const struct vectors *vectors, size_t a, size_t b)
{
    double product = 0;
    for (size_t i = 0; i < vectors->dim; i++)
        product += (double)half_to_float(vectors->rows[a * vectors->dim + i]) *
                   (double)half_to_float(vectors->rows[b * vectors->dim + i]);
    return product;
}

/* Products of short vectors are at least those of the long ones, and few pairs need few values. */
static void shortened(void **state)
{
    (void)state;
    struct vectors vectors = make_vectors(300, 320);
    static const struct {
        double least;
        size_t dim;
    } cases[] = {{0.99, 64}, {0.8, 128}, {0.3, 320}};
    for (size_t c = 0; c < ARRAY_COUNT(cases); c++) {
        struct vectors result;
        assert_int_equal(shorten_vectors(&vectors, cases[c].least, &result), 0);
        assert_int_equal(result.dim, cases[c].dim);
        for (size_t a = 0; a < vectors.count; a++)
            for (size_t b = 0; b <= a; b++)
                assert_true(product_of(&result, a, b) >= product_of(&vectors, a, b) - 1e-12);
        shorten_free(&vectors, &result);
    }
    free_vectors(&vectors);
}

static int refuse_pair(void *user, const struct pair *pair)
{
    (void)pair;
    return *(int *)user;
}

static int refuse_share(void *user, double share)
{
    assert_true(share > 0 && share <= 1);
    return *(int *)user;
}

/* Both functions of the caller can stop the search. */
static void stopped(void **state)
{
    (void)state;
    struct vectors vectors = make_vectors(600, 16);
    int error = VKCLIP_EINVALID;
    struct pairs_params params = {
        .gpu = gpu, .vectors = &vectors, .least = 0.9, .found = refuse_pair, .user = &error};
    assert_int_equal(pairs_find(&params), VKCLIP_EINVALID);
    params.least = 2;
    assert_int_equal(pairs_find(&params), 0);
    params.progress = refuse_share;
    assert_int_equal(pairs_find(&params), VKCLIP_EINVALID);
    free_vectors(&vectors);
}

static int note_first(void *user, double share)
{
    *(double *)user = share;
    return VKCLIP_ECANCELLED;
}

/* More vectors than a batch of rows is multiplied with at once: the caller is asked before all of
 * its products are there. */
static void stopped_within_a_batch(void **state)
{
    (void)state;
    struct vectors vectors = make_vectors(9000, 16);
    double share = 0;
    const double first_batch = 1 - pow(1 - 512 / 9000., 2);
    const struct pairs_params params = {.gpu = gpu,
                                        .vectors = &vectors,
                                        .least = 2,
                                        .found = refuse_pair,
                                        .progress = note_first,
                                        .user = &share};
    assert_int_equal(pairs_find(&params), VKCLIP_ECANCELLED);
    assert_true(share > 0.8 * first_batch && share < 0.95 * first_batch);
    free_vectors(&vectors);
}

static int cancel_call(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    return done < total;
}

/* The caller is asked before a device has anything to do. */
static void stopped_while_shortening(void **state)
{
    (void)state;
    struct vectors vectors = make_vectors(300, 320), result;
    struct progress progress;
    progress_begin(&progress, cancel_call, NULL, 1);
    const int error = shorten_vectors(&vectors, 0.99, &result);
    assert_int_equal(progress_end(&progress, error), VKCLIP_ECANCELLED);
    shorten_free(&vectors, &result);
    free_vectors(&vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_pairs), cmocka_unit_test(shortened), cmocka_unit_test(stopped),
        cmocka_unit_test(stopped_within_a_batch), cmocka_unit_test(stopped_while_shortening)};
    gpu = open_gpu("");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    gpu_close(&gpu);
    return failed;
}
