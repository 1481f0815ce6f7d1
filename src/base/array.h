/* SPDX-License-Identifier: MIT
 *
 * What C lacks for its arrays: their number of elements, and an order of doubles.
 */
#ifndef VKCLIP_BASE_ARRAY_H
#define VKCLIP_BASE_ARRAY_H

/* The number of elements of an array, which must not be a pointer. */
#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Compares two doubles for qsort, so that they rise. */
static inline int array_compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#endif
