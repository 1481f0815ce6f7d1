/* SPDX-License-Identifier: MIT
 *
 * Floats of 16 bits: IEEE half precision and bfloat16. Rounding is to nearest, ties to even, and
 * what is too large becomes infinity, as numpy and PyTorch convert.
 */
#ifndef VKCLIP_BASE_HALF_H
#define VKCLIP_BASE_HALF_H

#include <stdint.h>

float half_to_float(uint16_t value);
uint16_t half_from_float(float value);
float bfloat_to_float(uint16_t value);
uint16_t bfloat_from_float(float value);

#endif
