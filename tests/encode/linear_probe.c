/* SPDX-License-Identifier: MIT
 *
 * The linear probe: at the minimum of the objective every derivative is zero, which is computed
 * here in the plainest way; the minimum is scikit-learn's; and the bits do not depend on the
 * threads.
 */
#define _GNU_SOURCE
#include "encode/probe.h"
#include "base/array.h"
#include "support/scratch.h"

#include <math.h>

enum { MOST = 512, MOST_DIM = 24, MOST_CLASSES = 7 };

struct fixture {
    float features[MOST * MOST_DIM];
    uint32_t labels[MOST];
    float weights[MOST_CLASSES * MOST_DIM], biases[MOST_CLASSES];
    struct probe_data data;
};

/* Makes overlapping clouds of points, one per class. `spread` 0 gives points that a plane
 * separates. */
static void make_data(struct fixture *fixture, size_t count, size_t dim, size_t classes,
                      double spread)
{
    uint32_t state = 12345;
    for (size_t i = 0; i < count; i++) {
        fixture->labels[i] = (uint32_t)(i * 7 % 11 % classes);
        for (size_t d = 0; d < dim; d++) {
            state = state * 1664525 + 1013904223;
            const double noise = (double)(state >> 8) / (1 << 24) - 0.5;
            fixture->features[i * dim + d] =
                (float)(spread * noise + (d % classes == fixture->labels[i] ? 1 : 0));
        }
    }
    fixture->data = (struct probe_data){fixture->features, fixture->labels, count, dim, classes};
}

/* Returns the objective, and the largest derivative in *slope. */
static double measure(const struct fixture *fixture, double c, double *slope)
{
    const struct probe_data *data = &fixture->data;
    double gradient[MOST_CLASSES * (MOST_DIM + 1)] = {0}, loss = 0, squares = 0;
    for (size_t i = 0; i < data->count; i++) {
        double logits[MOST_CLASSES] = {0}, sum = 0;
        for (size_t k = 0; k < data->classes; k++) {
            logits[k] = fixture->biases[k];
            for (size_t d = 0; d < data->dim; d++)
                logits[k] += (double)fixture->weights[k * data->dim + d] *
                             fixture->features[i * data->dim + d];
            sum += exp(logits[k]);
        }
        loss += log(sum) - logits[fixture->labels[i]];
        for (size_t k = 0; k < data->classes; k++) {
            const double error = exp(logits[k]) / sum - (k == fixture->labels[i]);
            for (size_t d = 0; d < data->dim; d++)
                gradient[k * data->dim + d] += c * error * fixture->features[i * data->dim + d];
            gradient[data->classes * data->dim + k] += c * error;
        }
    }
    *slope = 0;
    for (size_t i = 0; i < data->classes * data->dim; i++) {
        gradient[i] += fixture->weights[i];
        squares += (double)fixture->weights[i] * fixture->weights[i];
    }
    for (size_t i = 0; i < data->classes * (data->dim + 1); i++)
        *slope = fmax(*slope, fabs(gradient[i]));
    return c * loss + squares / 2;
}

static int fit(struct fixture *fixture, double c, struct vkclip_probe_result *result)
{
    const struct vkclip_probe_params params = {.size = sizeof(params), .c = c, .tolerance = 1e-7};
    const struct probe_data *data = &fixture->data;
    return vkclip_fit_probe(data->features, data->labels, data->count, data->dim, data->classes,
                            &params, fixture->weights, fixture->biases, result);
}

static void finds_the_minimum(void **state)
{
    (void)state;
    static const struct {
        size_t count, dim, classes;
        double spread, c;
    } cases[] = {{300, 24, 7, 3, 1},   {300, 24, 7, 3, 0.01}, {300, 24, 7, 3, 100},
                 {512, 3, 2, 4, 1},    {17, 24, 5, 6, 0.316}, {1, 1, 2, 1, 1},
                 {300, 24, 7, 0, 1000}};
    static struct fixture fixture;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct vkclip_probe_result result = {.size = sizeof(result)};
        double slope;
        make_data(&fixture, cases[i].count, cases[i].dim, cases[i].classes, cases[i].spread);
        assert_int_equal(fit(&fixture, cases[i].c, &result), 0);
        assert_true(result.converged);
        const double value = measure(&fixture, cases[i].c, &slope);
        /* The weights are rounded to fp32, which moves derivatives by about 1e-7 of their terms. */
        const double terms = cases[i].c * (double)cases[i].count;
        if (!(slope < 1e-5 * fmax(terms, 1)) ||
            !(fabs(value - result.objective) < 1e-5 * value + 1e-9))
            fail_msg("case %zu: slope %g, objective %.9g, reported %.9g", i, slope, value,
                     result.objective);
    }
}

/* scikit-learn 1.2.1: LogisticRegression(C=0.316, multi_class="multinomial", tol=1e-10,
 * max_iter=10000) on the same numbers. */
static void is_scikit_learns(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct vkclip_probe_result result = {.size = sizeof(result)};
    make_data(&fixture, 300, 24, 7, 3);
    assert_int_equal(fit(&fixture, 0.316, &result), 0);
    assert_float_equal(result.objective, 57.3481865910136, 1e-5);
}

static void gives_the_same_bits_on_all_threads(void **state)
{
    (void)state;
    static struct fixture fixture, other;
    const struct vkclip_probe_params params = {.size = sizeof(params), .c = 1};
    struct vkclip_probe_result result = {.size = sizeof(result)};
    struct workers *workers;
    make_data(&fixture, 333, 24, 7, 3);
    make_data(&other, 333, 24, 7, 3);
    assert_int_equal(
        probe_fit(&fixture.data, &params, NULL, fixture.weights, fixture.biases, &result), 0);
    assert_int_equal(workers_open(3, &workers), 0);
    assert_int_equal(probe_fit(&other.data, &params, workers, other.weights, other.biases, &result),
                     0);
    workers_close(&workers);
    assert_memory_equal(fixture.weights, other.weights, sizeof(fixture.weights));
    assert_memory_equal(fixture.biases, other.biases, sizeof(fixture.biases));
}

static void predicts(void **state)
{
    (void)state;
    static struct fixture fixture;
    float probs[MOST_CLASSES];
    make_data(&fixture, 100, 24, 7, 0);
    assert_int_equal(fit(&fixture, 10, NULL), 0);
    for (size_t i = 0; i < 100; i++) {
        float sum = 0;
        assert_int_equal(vkclip_apply_probe(&fixture.features[i * 24], 1, 24, fixture.weights,
                                            fixture.biases, 7, probs),
                         0);
        for (size_t k = 0; k < 7; k++) {
            sum += probs[k];
            assert_true(probs[k] <= probs[fixture.labels[i]]);
        }
        assert_float_equal(sum, 1, 1e-5);
    }
}

static void refuses(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct vkclip_probe_result result = {.size = sizeof(result)};
    const struct vkclip_probe_params few = {.size = sizeof(few), .max_iterations = 2};
    make_data(&fixture, 100, 24, 7, 3);
    fixture.labels[42] = 7;
    assert_failed(fit(&fixture, 1, NULL), VKCLIP_EINVALID,
                  "label 42: expected a number below 7, found 7");
    fixture.labels[42] = 6;
    fixture.features[24 * 42] = NAN;
    assert_failed(fit(&fixture, 1, NULL), VKCLIP_EINVALID, "row 42 of the features is not finite");
    assert_failed(vkclip_fit_probe(fixture.features, fixture.labels, 0, 24, 7, NULL,
                                   fixture.weights, fixture.biases, NULL),
                  VKCLIP_EINVALID, "expected");
    make_data(&fixture, 100, 24, 7, 3);
    assert_failed(fit(&fixture, -1, NULL), VKCLIP_EINVALID, "`c` is -1");
    assert_failed(fit(&fixture, NAN, NULL), VKCLIP_EINVALID, "expected finite numbers from 0 up");
    assert_int_equal(vkclip_fit_probe(fixture.features, fixture.labels, 100, 24, 7, &few,
                                      fixture.weights, fixture.biases, &result),
                     0);
    assert_int_equal(result.iterations, 2);
    assert_false(result.converged);
}

static void as_many_iterations_as_it_needs_are_enough(void **state)
{
    (void)state;
    static struct fixture fixture;
    struct vkclip_probe_params params = {.size = sizeof(params), .c = 1};
    struct vkclip_probe_result result = {.size = sizeof(result)};
    make_data(&fixture, 100, 24, 7, 3);
    for (unsigned run = 0; run < 2; run++) {
        assert_int_equal(vkclip_fit_probe(fixture.features, fixture.labels, 100, 24, 7, &params,
                                          fixture.weights, fixture.biases, &result),
                         0);
        assert_true(result.converged);
        params.max_iterations = result.iterations;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_the_minimum),
        cmocka_unit_test(is_scikit_learns),
        cmocka_unit_test(gives_the_same_bits_on_all_threads),
        cmocka_unit_test(predicts),
        cmocka_unit_test(refuses),
        cmocka_unit_test(as_many_iterations_as_it_needs_are_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
