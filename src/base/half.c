/* SPDX-License-Identifier: MIT
 *
 * Converts with integer arithmetic and exact operations of fp32, so that results do not depend on
 * the processor.
 */
#include "base/half.h"

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define WITH_X86
#include <immintrin.h>
#endif

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

#ifdef WITH_X86
/* Converts eight values at a time, and returns how many these were. The instruction would keep the
 * payload of a NaN. Every processor with AVX2 has it, for which all compilers have a name. */
__attribute__((target("avx,f16c"))) static size_t convert_f16c(const float *values, size_t count,
                                                               uint16_t *halves)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8) {
        const __m256 eight = _mm256_loadu_ps(values + i);
        if (!_mm256_movemask_ps(_mm256_cmp_ps(eight, eight, _CMP_UNORD_Q)))
            _mm_storeu_si128((void *)(halves + i),
                             _mm256_cvtps_ph(eight, _MM_FROUND_TO_NEAREST_INT));
        else
            for (size_t j = i; j < i + 8; j++)
                halves[j] = half_from_float(values[j]);
    }
    return i;
}
#endif

void half_from_floats(const float *values, size_t count, uint16_t *halves)
{
    size_t i = 0;
#ifdef WITH_X86
    if (__builtin_cpu_supports("avx2"))
        i = convert_f16c(values, count, halves);
#endif
    for (; i < count; i++)
        halves[i] = half_from_float(values[i]);
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
