/* SPDX-License-Identifier: MIT
 *
 * Floats of 16 bits: IEEE half precision and bfloat16. Rounding is to nearest, ties to even, and
 * what is too large becomes infinity, as numpy and PyTorch convert.
 */
#ifndef VKCLIP_BASE_HALF_H
#define VKCLIP_BASE_HALF_H

#include <stdint.h>

/* IEEE half precision: 5 bits of exponent, 10 of mantissa. */
float half_to_float(uint16_t value);
uint16_t half_from_float(float value);

/* bfloat16: the upper half of an fp32 number, 8 bits of exponent, 7 of mantissa. */
float bfloat_to_float(uint16_t value);
uint16_t bfloat_from_float(float value);

#endif
