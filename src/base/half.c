/* SPDX-License-Identifier: MIT
 *
 * Converts with integer arithmetic and exact operations of fp32, so that results do not depend on
 * the processor.
 */
#include "base/half.h"

#include <string.h>

static float bits_to_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

float half_to_float(uint16_t value)
{
    uint32_t sign = (uint32_t)(value & 0x8000) << 16;
    uint32_t exponent = (value >> 10) & 31, mantissa = value & 1023;
    if (exponent == 0) /* Zero and subnormals are mantissa * 2^-24, which is exact in fp32. */
        return bits_to_float(sign) + (sign ? -1.0f : 1.0f) * (float)mantissa * 0x1p-24f;
    if (exponent == 31)
        return bits_to_float(sign | 0x7f800000 | mantissa << 13);
    return bits_to_float(sign | (exponent + 112) << 23 | mantissa << 13);
}

uint16_t half_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    bits &= 0x7fffffff;
    if (bits > 0x7f800000)
        return sign | 0x7e00;
    if (bits >= 0x477ff000) /* 65520 and above round to infinity. */
        return sign | 0x7c00;
    if (bits < 0x38800000) { /* The result is subnormal: adding 0.5 rounds at 2^-24. */
        float magnitude = bits_to_float(bits) + 0.5f;
        memcpy(&bits, &magnitude, sizeof(bits));
        return sign | (uint16_t)(bits - 0x3f000000);
    }
    return sign | (uint16_t)((bits + 0xfff + (bits >> 13 & 1) - 0x38000000) >> 13);
}

float bfloat_to_float(uint16_t value)
{
    return bits_to_float((uint32_t)value << 16);
}

uint16_t bfloat_from_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
