/* SPDX-License-Identifier: MIT
 *
 * Makes vectors of unit length in fp16, and finds the best of them by sorting all.
 */
#ifndef VKCLIP_TESTS_SUPPORT_VECTORS_H
#define VKCLIP_TESTS_SUPPORT_VECTORS_H

#include "base/half.h"
#include "search/scan.h"
#include "support/random.h"
#include "support/testing.h"

#include <math.h>

static inline void normalise(float *values, size_t count)
{
    double squares = 0;
    for (size_t i = 0; i < count; i++)
        squares += (double)values[i] * (double)values[i];
    for (size_t i = 0; i < count; i++)
        values[i] = (float)((double)values[i] / sqrt(squares));
}

/* Makes vectors with ids 3, 6, 9, ... Every seventh is a copy of the one before it, so that there
 * are ties, and every eleventh differs from the one before it by the last bit of one value. */
static inline struct vectors make_vectors(size_t count, size_t dim)
{
    int64_t *ids = malloc((count + 1) * sizeof(*ids));
    uint16_t *rows = malloc((count * dim + 1) * sizeof(*rows));
    float *row = malloc(dim * sizeof(*row));
    uint32_t state = 7;
    assert_true(ids && rows && row);
    for (size_t i = 0; i < count; i++) {
        ids[i] = 3 * (int64_t)i + 3;
        random_values(&state, row, dim);
        normalise(row, dim);
        for (size_t d = 0; d < dim; d++)
            rows[i * dim + d] = half_from_float(row[d]);
        if (i && (i % 7 == 0 || i % 11 == 0))
            memcpy(rows + i * dim, rows + (i - 1) * dim, dim * sizeof(*rows));
        if (i && i % 11 == 0)
            rows[i * dim + i % dim] ^= 1;
    }
    free(row);
    return (struct vectors){.ids = ids, .rows = rows, .count = count, .dim = dim};
}

static inline void free_vectors(struct vectors *vectors)
{
    free((void *)vectors->ids);
    free((void *)vectors->rows);
}

static inline float *make_queries(size_t count, size_t dim)
{
    float *queries = malloc((count * dim + 1) * sizeof(*queries));
    uint32_t state = 99;
    assert_non_null(queries);
    random_values(&state, queries, count * dim);
    for (size_t q = 0; q < count; q++)
        normalise(queries + q * dim, dim);
    return queries;
}

/* Makes a mask that allows about `share` of all vectors, and nothing in the first hundred. */
static inline uint64_t *make_mask(size_t count, double share)
{
    uint64_t *mask = calloc(count / 64 + 1, sizeof(*mask));
    uint32_t state = 5;
    assert_non_null(mask);
    for (size_t i = 0; i < count; i++) {
        float value;
        random_values(&state, &value, 1);
        if (i >= 100 && (double)value < 2 * share - 1)
            mask[i / 64] |= 1ull << i % 64;
    }
    return mask;
}

static inline int compare_expected(const void *a, const void *b)
{
    const struct scan_hit *x = a, *y = b;
    if (x->score != y->score)
        return x->score < y->score ? 1 : -1;
    return x->id < y->id ? -1 : 1;
}

/* Compares the hits and the statistics of one query with those of sorting all vectors. */
static inline void check_hits(const struct vectors *vectors, const float *query, size_t top,
                              const uint64_t *allowed, const struct scan_hit *hits,
                              const struct scan_statistics *statistics)
{
    struct scan_hit *all = malloc((vectors->count + 1) * sizeof(*all));
    double sum = 0, squares = 0;
    size_t count = 0;
    assert_non_null(all);
    for (size_t i = 0; i < vectors->count; i++) {
        double score = 0;
        for (size_t d = 0; d < vectors->dim; d++)
            score += (double)half_to_float(vectors->rows[i * vectors->dim + d]) * (double)query[d];
        sum += score;
        squares += score * score;
        if (!allowed || allowed[i / 64] >> i % 64 & 1)
            all[count++] = (struct scan_hit){vectors->ids[i], i, (float)score};
    }
    qsort(all, count, sizeof(*all), compare_expected);
    assert_int_equal(statistics->found, count < top ? count : top);
    for (size_t i = 0; i < statistics->found; i++) {
        assert_int_equal(hits[i].id, all[i].id);
        assert_int_equal(hits[i].row, all[i].row);
        assert_memory_equal(&hits[i].score, &all[i].score, sizeof(hits[i].score));
    }
    const double n = (double)vectors->count, mean = n > 0 ? sum / n : 0;
    assert_true(fabs(statistics->mean - mean) < 1e-6);
    const double variance = n > 0 ? squares / n - mean * mean : 0;
    assert_true(fabs(statistics->deviation - sqrt(fmax(variance, 0))) < 1e-3);
    free(all);
}

#endif
