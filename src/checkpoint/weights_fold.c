/* SPDX-License-Identifier: MIT
 *
 * Reads weights with a batch norm or with factors folded into their rows, and gives them to an
 * upload as rows.
 */
#include "base/error.h"
#include "base/memory.h"
#include "checkpoint/weights.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Returns the product of a tensor's dimensions after the first, or 0 if there is no such tensor. */
static uint64_t row_length(const struct weights *weights, const char *name)
{
    uint64_t shape[TENSOR_MAX_RANK], length = 1;
    unsigned rank;
    if (!weights_shape(weights, name, shape, &rank))
        return 0;
    for (unsigned i = 1; i < rank; i++)
        length *= shape[i];
    return length;
}

/* Reads the tensor NORM and KEY into new memory. */
static int read_norm(const struct weights *weights, const char *norm, const char *key,
                     uint64_t first, uint64_t rows, float **values)
{
    char name[128];
    snprintf(name, sizeof(name), "%s%s", norm, key);
    *values = memory_alloc(rows * sizeof(**values));
    if (!*values)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %s", name);
    return weights_read(weights, name, first, rows, *values);
}

/* Multiplies each row by its factor, which a vector has. */
static int fold_factors(const struct weights *weights, const char *name, const char *vector,
                        uint64_t first, uint64_t rows, float *values)
{
    const uint64_t length = row_length(weights, name);
    float *factors = NULL;
    int error = read_norm(weights, vector, "", first, rows, &factors);
    for (uint64_t i = 0; i < rows * length && !error; i++)
        values[i] *= factors[i / length];
    memory_free(factors);
    return error;
}

int weights_read_folded(const struct weights *weights, const char *name, const char *norm,
                        uint64_t first, uint64_t rows, float *values)
{
    float *gain = NULL, *variance = NULL, *mean = NULL;
    char bias[128];
    int error = weights_read(weights, name, first, rows, values);
    if (error || !*norm)
        return error;
    if (row_length(weights, norm)) /* a vector of factors */
        return fold_factors(weights, name, norm, first, rows, values);
    error = read_norm(weights, norm, ".weight", first, rows, &gain);
    if (!error)
        error = read_norm(weights, norm, ".running_var", first, rows, &variance);
    if (!error)
        error = read_norm(weights, norm, ".running_mean", first, rows, &mean);
    snprintf(bias, sizeof(bias), "%s.bias", norm);
    const bool is_bias = !strcmp(name, bias);
    const uint64_t length = row_length(weights, name);
    for (uint64_t row = 0; row < rows && !error; row++) {
        const double scale = gain[row] / sqrt((double)variance[row] + 1e-5);
        for (uint64_t i = 0; i < length; i++) {
            float *value = &values[row * length + i];
            *value = (float)(is_bias ? *value - mean[row] * scale : *value * scale);
        }
    }
    memory_free(gain);
    memory_free(variance);
    memory_free(mean);
    return error;
}

/* ---- As a row reader ------------------------------------------------------------------------- */

static uint64_t read_row_length(const void *user, const char *name)
{
    return row_length(user, name);
}

static int read_rows(const void *user, const char *name, const char *norm, uint64_t first,
                     uint64_t rows, float *values)
{
    return weights_read_folded(user, name, norm, first, rows, values);
}

struct row_reader weights_row_reader(const struct weights *weights)
{
    return (struct row_reader){weights, weights_path(weights), read_row_length, read_rows};
}
