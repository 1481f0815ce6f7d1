/* SPDX-License-Identifier: MIT
 *
 * Arrays of C.
 */
#ifndef VKCLIP_BASE_ARRAY_H
#define VKCLIP_BASE_ARRAY_H

#define ARRAY_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Compares two doubles for qsort, the lesser first. */
static inline int array_compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

#endif
