/* SPDX-License-Identifier: MIT
 *
 * This header has what C lacks for its arrays: their number of elements, and an order of doubles.
 */
#ifndef VKCLIP_BASE_ARRAY_H
#define VKCLIP_BASE_ARRAY_H

/* Gives the number of elements of an array. The argument must not be a pointer, whose size says
 * nothing of the array. */
#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Compares two doubles for qsort, which then sorts them in ascending order. */
static inline int array_compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#endif
