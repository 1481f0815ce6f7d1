/* SPDX-License-Identifier: MIT
 *
 * Converts floats of 16 bits: IEEE half precision and bfloat16. Rounding is to nearest, ties to
 * even, and a value that is too large becomes infinity, as numpy and PyTorch convert.
 */
#ifndef VKCLIP_BASE_HALF_H
#define VKCLIP_BASE_HALF_H

#include <stddef.h>
#include <stdint.h>

#define HALF_LARGEST 65504.0f

/* IEEE half precision has 5 bits of exponent and 10 of mantissa. */
float half_to_float(uint16_t value);
uint16_t half_from_float(float value);
/* Converts many values to the same bits, with the processor's instructions where it has them. */
void half_from_floats(const float *values, size_t count, uint16_t *halves);

/* A bfloat16 is the upper half of an fp32 number, with 8 bits of exponent and 7 of mantissa. */
float bfloat_to_float(uint16_t value);
uint16_t bfloat_from_float(float value);

#endif
