/* SPDX-License-Identifier: MIT
 *
 * Resizes a grid of positions by the bicubic kernel, one axis after the other.
 */
#include "checkpoint/positions.h"
#include "base/error.h"
#include "base/memory.h"
#include "model/tower.h"

#include <math.h>
#include <string.h>

/* Returns the bicubic kernel at distance x, for a = -0.5. */
static double bicubic_weight(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/* Fills weights [new,old] with the contribution of each old position to each new one. Every row
 * sums to one. */
static void fill_axis(uint32_t old_side, uint32_t new_side, double *weights)
{
    const double scale = (double)old_side / new_side, stretch = scale > 1 ? scale : 1;
    for (uint32_t i = 0; i < new_side; i++) {
        const double center = (i + 0.5) * scale;
        double *row = &weights[(size_t)i * old_side], total = 0;
        for (uint32_t j = 0; j < old_side; j++) {
            row[j] = bicubic_weight((j + 0.5 - center) / stretch);
            total += row[j];
        }
        for (uint32_t j = 0; j < old_side; j++)
            row[j] /= total;
    }
}

/* Resizes the x axis: grid [old,old,width] to rows [old,new,width], which must be zero before. */
static void resize_rows(const float *grid, size_t old_side, size_t new_side, size_t width,
                        const double *weights, double *rows)
{
    for (size_t y = 0; y < old_side; y++)
        for (size_t x = 0; x < new_side; x++)
            for (size_t j = 0; j < old_side; j++)
                for (size_t c = 0; c < width; c++)
                    rows[(y * new_side + x) * width + c] +=
                        weights[x * old_side + j] * grid[(y * old_side + j) * width + c];
}

/* Resizes the y axis: rows [old,length] to resized [new,length]. */
static void resize_columns(const double *rows, size_t old_side, size_t new_side, size_t length,
                           const double *weights, float *resized)
{
    for (size_t y = 0; y < new_side; y++)
        for (size_t i = 0; i < length; i++) {
            double sum = 0;
            for (size_t j = 0; j < old_side; j++)
                sum += weights[y * old_side + j] * rows[j * length + i];
            resized[y * length + i] = (float)sum;
        }
}

bool positions_resize(const float *positions, uint32_t tokens, uint32_t old_side, uint32_t new_side,
                      uint32_t width, float *resized)
{
    const size_t length = (size_t)new_side * width;
    double *weights = memory_alloc(sizeof(*weights) * new_side * old_side);
    double *rows = memory_calloc(old_side * length, sizeof(*rows));
    const bool good = weights && rows;
    if (good) {
        fill_axis(old_side, new_side, weights);
        const size_t kept = (size_t)tokens * width;
        memcpy(resized, positions, kept * sizeof(*resized));
        resize_rows(positions + kept, old_side, new_side, width, weights, rows);
        resize_columns(rows, old_side, new_side, length, weights, resized + kept);
    }
    memory_free(weights);
    memory_free(rows);
    return good;
}

int positions_fit(struct weights *weights, uint32_t image_size, struct config *config)
{
    const char *name = tower_find(config, TOWER_IMAGE)->position_table;
    const uint32_t old_side = config->image_size / config->patch_size;
    const uint32_t new_side = image_size / config->patch_size;
    if (image_size == config->image_size)
        return VKCLIP_OK;
    if (image_size > 4096 || !new_side || image_size % config->patch_size)
        return error_fail(VKCLIP_EINVALID,
                          "image size %u: expected a multiple of %u of at most 4096 for this model",
                          image_size, config->patch_size);
    if (config->resize.shortest || config->resize.width || config->resize.fit == FIT_BETWEEN)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "image size %u: this model's pictures are resized to a size of their own "
                          "before the crop, which does not follow from it",
                          image_size);
    if (!name) {
        config->image_size = image_size;
        return VKCLIP_OK;
    }
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank; /* A table of timm has a first dimension of one. */
    weights_shape(weights, name, shape, &rank);
    const uint64_t old_rows = shape[rank - 2], stored_rows = shape[0];
    const uint32_t width = (uint32_t)shape[rank - 1];
    const uint32_t tokens = (uint32_t)(old_rows - (uint64_t)old_side * old_side);
    const uint64_t new_rows = shape[rank - 2] = tokens + (uint64_t)new_side * new_side;
    float *old = memory_alloc(old_rows * width * sizeof(*old));
    float *resized = memory_alloc(new_rows * width * sizeof(*resized));
    int error = VKCLIP_OK;
    if (!old || !resized)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for positions");
    if (!error)
        error = weights_read(weights, name, 0, stored_rows, old);
    if (!error && !positions_resize(old, tokens, old_side, new_side, width, resized))
        error = error_fail(VKCLIP_EMEMORY, "out of memory for positions");
    memory_free(old);
    if (error) {
        memory_free(resized);
        return error;
    }
    config->image_size = image_size;
    return weights_replace(weights, name, shape, resized);
}
