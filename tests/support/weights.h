/* SPDX-License-Identifier: MIT
 *
 * Reads whole tensors of checkpoints, and compares checkpoints.
 */
#ifndef VKCLIP_TESTS_SUPPORT_WEIGHTS_H
#define VKCLIP_TESTS_SUPPORT_WEIGHTS_H

#include "base/half.h"
#include "checkpoint/weights.h"
#include "support/testing.h"

/* Returns the number of elements of a tensor, and gives that of its rows. */
static inline uint64_t count_elements(const struct weights *weights, const char *name,
                                      uint64_t *rows)
{
    uint64_t shape[TENSOR_MAX_RANK], count = 1;
    unsigned rank;
    if (!weights_shape(weights, name, shape, &rank))
        fail_msg("%s: has no tensor %s", weights_path(weights), name);
    for (unsigned i = 0; i < rank; i++)
        count *= shape[i];
    *rows = rank ? shape[0] : 1;
    return count;
}

/* Returns all values of a tensor in new memory. Two pieces are read, so that reads after the first
 * row are tested too. */
static inline float *read_weight(const struct weights *weights, const char *name, uint64_t *count)
{
    uint64_t rows;
    *count = count_elements(weights, name, &rows);
    const uint64_t first = rows / 3, length = rows ? *count / rows : 0;
    float *values = calloc(*count + 1, sizeof(*values));
    assert_non_null(values);
    assert_int_equal(weights_read(weights, name, 0, first, values), 0);
    assert_int_equal(weights_read(weights, name, first, rows - first, values + first * length), 0);
    return values;
}

static inline void assert_same_weight(const struct weights *found, const struct weights *expected,
                                      const char *name, bool half)
{
    uint64_t shape[TENSOR_MAX_RANK], expected_shape[TENSOR_MAX_RANK], count, expected_count;
    unsigned rank, expected_rank;
    assert_true(weights_shape(found, name, shape, &rank));
    assert_true(weights_shape(expected, name, expected_shape, &expected_rank));
    assert_int_equal(rank, expected_rank);
    assert_memory_equal(shape, expected_shape, rank * sizeof(*shape));
    float *values = read_weight(found, name, &count);
    float *expected_values = read_weight(expected, name, &expected_count);
    for (uint64_t i = 0; i < count; i++) {
        if (half)
            expected_values[i] = half_to_float(half_from_float(expected_values[i]));
        if (memcmp(&values[i], &expected_values[i], sizeof(*values)))
            fail_msg("%s: %s[%llu]: expected %.9g, found %.9g", weights_path(found), name,
                     (unsigned long long)i, (double)expected_values[i], (double)values[i]);
    }
    free(values);
    free(expected_values);
}

/* Checks that two checkpoints have the same tensors with the same values, or with the expected
 * values rounded to half precision. Both of the small reference models have more than 40 tensors.
 */
static inline void assert_same_weights(const struct weights *found, const struct weights *expected,
                                       bool half)
{
    const char *name;
    size_t count = 0;
    for (; (name = weights_name(expected, count)); count++) {
        assert_string_equal(weights_name(found, count), name);
        assert_same_weight(found, expected, name, half);
    }
    assert_true(count > 40);
    assert_null(weights_name(found, count));
    assert_int_equal(weights_parameters(found), weights_parameters(expected));
}

#endif
