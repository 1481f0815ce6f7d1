/* SPDX-License-Identifier: MIT
 *
 * Bicubic resize of a grid of positions, one axis after the other.
 */
#include "checkpoint/positions.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double cubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1)
        return ((a + 2) * x - (a + 3)) * x * x + 1;
    return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

/* weights [to,from]: how much of each old position a new one takes; rows add up to one. */
static void axis_weights(uint32_t from, uint32_t to, double *weights)
{
    const double scale = (double)from / to, stretch = scale > 1 ? scale : 1;
    for (uint32_t i = 0; i < to; i++) {
        double center = (i + 0.5) * scale, total = 0;
        double *row = &weights[(size_t)i * from];
        for (uint32_t j = 0; j < from; j++)
            total += row[j] = cubic((j + 0.5 - center) / stretch);
        for (uint32_t j = 0; j < from; j++)
            row[j] /= total;
    }
}

bool positions_resize(const float *positions, uint32_t from, uint32_t to, uint32_t width,
                      float *out)
{
    double *weights = malloc(sizeof(*weights) * to * from);
    double *rows = calloc((size_t)from * to * width, sizeof(*rows)); /* [from,to,width] */
    bool good = weights && rows;
    if (good) {
        const float *grid = positions + width;
        axis_weights(from, to, weights);
        for (size_t y = 0; y < from; y++)
            for (size_t x = 0; x < to; x++)
                for (size_t j = 0; j < from; j++)
                    for (size_t c = 0; c < width; c++)
                        rows[(y * to + x) * width + c] +=
                            weights[x * from + j] * grid[(y * from + j) * width + c];
        memcpy(out, positions, width * sizeof(*out));
        for (size_t y = 0; y < to; y++)
            for (size_t i = 0; i < (size_t)to * width; i++) {
                double sum = 0;
                for (size_t j = 0; j < from; j++)
                    sum += weights[y * from + j] * rows[j * to * width + i];
                out[width + y * to * width + i] = (float)sum;
            }
    }
    free(weights);
    free(rows);
    return good;
}
