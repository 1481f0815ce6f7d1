/* SPDX-License-Identifier: MIT
 *
 * Compares embeddings that two ways of computing them gave.
 */
#ifndef VKCLIP_TESTS_SUPPORT_DIFFERENCE_H
#define VKCLIP_TESTS_SUPPORT_DIFFERENCE_H

#include <math.h>
#include <stddef.h>

/* Returns the largest difference of a pair of values, or infinity if a value of `a` is not finite.
 */
static inline double largest_difference(const float *a, const float *b, size_t count)
{
    double worst = 0;
    for (size_t i = 0; i < count; i++)
        worst = fmax(worst, isfinite(a[i]) ? fabs((double)a[i] - b[i]) : INFINITY);
    return worst;
}

#endif
