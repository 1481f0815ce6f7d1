/* SPDX-License-Identifier: MIT
 *
 * Chooses the values that differ most from vector to vector, and as few as a sample of all pairs
 * allows.
 */
#include "search/shorten.h"

#include "base/half.h"
#include "base/memory.h"
#include "base/progress.h"

#include <math.h>
#include <stdlib.h>

/* Fewer values save no time, because a product also has to be stored and compared. */
#define LEAST_DIM 64
/* The sample's vectors, of which all pairs are looked at: few enough to take milliseconds. */
#define SAMPLE 256
/* Of this many products one may reach the bound although it belongs to no pair. The host looks at
 * it for a microsecond, in which a processor multiplies some hundred short vectors. */
#define PRODUCTS_PER_MISTAKE 4096

/* A value of the long vectors. */
struct place {
    size_t index;
    double variance;
};

struct sample {
    float *rows; /* [count,dim], the values in the order of the places */
    size_t count, dim;
};

static int compare_places(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->variance != y->variance)
        return x->variance < y->variance ? 1 : -1;
    return (x->index > y->index) - (x->index < y->index);
}

static const uint16_t *sample_row(const struct vectors *vectors, size_t number)
{
    const size_t count = vectors->count < SAMPLE ? vectors->count : SAMPLE;
    return vectors->rows + number * vectors->count / count * vectors->dim;
}

/* Sorts the places by the variance of their values in the sample, the largest first. */
static void sort_places(const struct vectors *vectors, size_t count, struct place *places)
{
    for (size_t d = 0; d < vectors->dim; d++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < count; i++) {
            const double value = (double)half_to_float(sample_row(vectors, i)[d]);
            sum += value;
            squares += value * value;
        }
        places[d] =
            (struct place){d, squares / (double)count - sum * sum / (double)(count * count)};
    }
    qsort(places, vectors->dim, sizeof(*places), compare_places);
}

/* Returns the length of a vector's values from place `first` on. */
static double rest_length(const float *row, size_t first, size_t dim)
{
    double squares = 0;
    for (size_t i = first; i < dim; i++)
        squares += (double)row[i] * (double)row[i];
    return sqrt(squares);
}

static float multiply(const float *a, const float *b, size_t first, size_t end)
{
    float product = 0;
    for (size_t i = first; i < end; i++)
        product += a[i] * b[i];
    return product;
}

/* Tells whether vectors of `dim` values let few pairs of the sample reach `least` that do not reach
 * it with all values. */
static bool is_enough(const struct sample *sample, size_t dim, double least)
{
    const size_t kept = dim - 1;
    double rests[SAMPLE];
    size_t pairs = 0, mistakes = 0;
    for (size_t i = 0; i < sample->count; i++) {
        const float *a = sample->rows + i * sample->dim;
        rests[i] = rest_length(a, kept, sample->dim);
        for (size_t j = 0; j < i; j++, pairs++) {
            const float *b = sample->rows + j * sample->dim;
            const double product = (double)multiply(a, b, 0, kept);
            mistakes += product + rests[i] * rests[j] >= least &&
                        product + (double)multiply(a, b, kept, sample->dim) < least;
        }
    }
    return mistakes * PRODUCTS_PER_MISTAKE <= pairs;
}

/* Returns fp16 that is at least `value`. */
static uint16_t round_up(double value)
{
    uint16_t half = half_from_float((float)value);
    while ((double)half_to_float(half) < value)
        half++;
    return half;
}

static int fill_rows(const struct vectors *vectors, const struct place *places, size_t dim,
                     uint16_t *short_rows)
{
    int error = VKCLIP_OK;
    for (size_t i = 0; i < vectors->count && !error; i++) {
        const uint16_t *row = vectors->rows + i * vectors->dim;
        double squares = 0;
        for (size_t d = 0; d < dim - 1; d++)
            short_rows[i * dim + d] = row[places[d].index];
        for (size_t d = dim - 1; d < vectors->dim; d++) {
            const double value = (double)half_to_float(row[places[d].index]);
            squares += value * value;
        }
        short_rows[i * dim + dim - 1] = round_up(sqrt(squares));
        error = progress_check();
    }
    return error;
}

/* Returns how many values are enough. */
static size_t choose_dim(const struct vectors *vectors, const struct place *places, size_t count,
                         double least, float *rows)
{
    const struct sample sample = {rows, count, vectors->dim};
    size_t dim = LEAST_DIM;
    for (size_t i = 0; i < count; i++)
        for (size_t d = 0; d < vectors->dim; d++)
            rows[i * vectors->dim + d] = half_to_float(sample_row(vectors, i)[places[d].index]);
    while (dim < vectors->dim && !is_enough(&sample, dim, least))
        dim *= 2;
    return dim;
}

int shorten_vectors(const struct vectors *vectors, double least, struct vectors *result)
{
    const size_t count = vectors->count < SAMPLE ? vectors->count : SAMPLE;
    *result = *vectors;
    if (!count || vectors->dim <= LEAST_DIM)
        return VKCLIP_OK;
    struct place *places = memory_alloc(vectors->dim * sizeof(*places));
    float *sample = memory_alloc(count * vectors->dim * sizeof(*sample));
    uint16_t *rows = NULL;
    int error = VKCLIP_EMEMORY;
    if (!places || !sample)
        goto done;
    sort_places(vectors, count, places);
    const size_t dim = choose_dim(vectors, places, count, least, sample);
    error = VKCLIP_OK;
    if (dim >= vectors->dim)
        goto done;
    rows = memory_alloc(vectors->count * dim * sizeof(*rows));
    error = rows ? VKCLIP_OK : VKCLIP_EMEMORY;
    if (error)
        goto done;
    result->rows = rows;
    result->dim = dim;
    error = fill_rows(vectors, places, dim, rows);
done:
    memory_free(places);
    memory_free(sample);
    return error == VKCLIP_EMEMORY
               ? error_fail(error, "out of memory for pairs of %zu vectors", vectors->count)
               : error;
}

void shorten_free(const struct vectors *vectors, struct vectors *result)
{
    if (result->rows != vectors->rows)
        memory_free((void *)result->rows);
}
