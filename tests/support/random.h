/* SPDX-License-Identifier: MIT
 *
 * Makes pseudo-random values, which are the same on every machine.
 */
#ifndef VKCLIP_TESTS_SUPPORT_RANDOM_H
#define VKCLIP_TESTS_SUPPORT_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Fills values with numbers in [-1, 1), and moves the state on. */
static inline void random_values(uint32_t *state, float *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        *state = *state * 1664525 + 1013904223;
        values[i] = (float)(*state >> 8) / (1 << 23) - 1;
    }
}

#endif
