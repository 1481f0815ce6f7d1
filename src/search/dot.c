/* SPDX-License-Identifier: MIT
 *
 * Scalar products in plain C and with the instructions of x86 and ARM. A file of its own for each
 * would need compiler flags of its own; functions with a target of their own do not.
 */
#include "search/dot.h"

#include "base/array.h"
#include "base/half.h"

#include <math.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define WITH_X86
#include <cpuid.h>
#include <immintrin.h>
#elif defined(__aarch64__) && defined(__ARM_NEON)
#define WITH_NEON
#include <arm_neon.h>
#endif

/* This many queries share one conversion of a row to fp32. */
#define QUERIES 4

/* Adds the products of the elements from `first` on, which do not fill a vector register. */
static float add_rest(const uint16_t *row, const float *query, size_t first, size_t dim, float sum)
{
    for (size_t i = first; i < dim; i++)
        sum += half_to_float(row[i]) * query[i];
    return sum;
}

/* ---- Plain C --------------------------------------------------------------------------------- */

/* Converts a finite fp16 number. A compiler turns this into vector instructions, in contrast to
 * half_to_float, which also converts infinity and NaN. */
static float decode(uint16_t half)
{
    union {
        uint32_t bits;
        float value;
    } number = {.bits = (uint32_t)(half & 0x7fff) << 13};
    number.value *= 0x1p112f; /* moves the exponent's bias from 15 to 127, also of subnormals */
    return half & 0x8000 ? -number.value : number.value;
}

static void compute_plain(const uint16_t *rows, size_t count, size_t dim, const float *queries,
                          size_t query_count, float *scores, size_t pitch)
{
    enum { LANES = 8 }; /* independent sums, which can lie in vector registers */
    for (size_t r = 0; r < count; r++, rows += dim)
        for (size_t q = 0; q < query_count; q++) {
            const float *query = queries + q * dim;
            float sums[LANES] = {0}, sum = 0;
            size_t i = 0;
            for (; i + LANES <= dim; i += LANES)
                for (size_t lane = 0; lane < LANES; lane++)
                    sums[lane] += decode(rows[i + lane]) * query[i + lane];
            for (size_t lane = 0; lane < LANES; lane++)
                sum += sums[lane];
            scores[q * pitch + r] = add_rest(rows, query, i, dim, sum);
        }
}

static bool is_always_usable(void)
{
    return true;
}

/* ---- x86 ------------------------------------------------------------------------------------- */

#ifdef WITH_X86
#define AVX2 __attribute__((target("avx2,fma,f16c")))
#define AVX512 __attribute__((target("avx512f,avx512vl")))
#define INLINE inline __attribute__((always_inline))

static bool has_avx2(void)
{
    unsigned a, b, c, d;
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __get_cpuid(1, &a, &b, &c, &d) && c & bit_F16C;
}

static bool has_avx512(void)
{
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl");
}

AVX2 static INLINE float add_lanes(__m256 sum)
{
    __m128 half = _mm_add_ps(_mm256_castps256_ps128(sum), _mm256_extractf128_ps(sum, 1));
    half = _mm_add_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_add_ss(half, _mm_movehdup_ps(half)));
}

/* Computes a tile of row_count x query_count products, whose sums stay in registers because both
 * numbers are known where this is inlined. */
AVX2 static INLINE void tile_avx2(const uint16_t *rows, size_t dim, const float *queries,
                                  float *scores, size_t pitch, const size_t row_count,
                                  const size_t query_count)
{
    __m256 sums[QUERIES * QUERIES];
    size_t i = 0;
    for (size_t s = 0; s < row_count * query_count; s++)
        sums[s] = _mm256_setzero_ps();
    for (; i + 8 <= dim; i += 8)
        for (size_t r = 0; r < row_count; r++) {
            const __m256 row = _mm256_cvtph_ps(
                _mm_loadu_si128((const __m128i *)(const void *)(rows + r * dim + i)));
            for (size_t q = 0; q < query_count; q++)
                sums[r * query_count + q] = _mm256_fmadd_ps(
                    row, _mm256_loadu_ps(queries + q * dim + i), sums[r * query_count + q]);
        }
    for (size_t r = 0; r < row_count; r++)
        for (size_t q = 0; q < query_count; q++)
            scores[q * pitch + r] = add_rest(rows + r * dim, queries + q * dim, i, dim,
                                             add_lanes(sums[r * query_count + q]));
}

AVX512 static INLINE void tile_avx512(const uint16_t *rows, size_t dim, const float *queries,
                                      float *scores, size_t pitch, const size_t row_count,
                                      const size_t query_count)
{
    __m512 sums[QUERIES * QUERIES];
    size_t i = 0;
    for (size_t s = 0; s < row_count * query_count; s++)
        sums[s] = _mm512_setzero_ps();
    for (; i + 16 <= dim; i += 16)
        for (size_t r = 0; r < row_count; r++) {
            const __m512 row = _mm512_cvtph_ps(
                _mm256_loadu_si256((const __m256i *)(const void *)(rows + r * dim + i)));
            for (size_t q = 0; q < query_count; q++)
                sums[r * query_count + q] = _mm512_fmadd_ps(
                    row, _mm512_loadu_ps(queries + q * dim + i), sums[r * query_count + q]);
        }
    for (size_t r = 0; r < row_count; r++)
        for (size_t q = 0; q < query_count; q++)
            scores[q * pitch + r] = add_rest(rows + r * dim, queries + q * dim, i, dim,
                                             _mm512_reduce_add_ps(sums[r * query_count + q]));
}

/* Two rows of four queries, or four of one, leave registers for what is loaded. */
AVX2 static INLINE void rows_avx2(const uint16_t *rows, size_t count, size_t dim,
                                  const float *queries, float *scores, size_t pitch,
                                  const size_t query_count)
{
    const size_t height = query_count > 1 ? 2 : 4;
    size_t r = 0;
    for (; r + height <= count; r += height)
        tile_avx2(rows + r * dim, dim, queries, scores + r, pitch, height, query_count);
    for (; r < count; r++)
        tile_avx2(rows + r * dim, dim, queries, scores + r, pitch, 1, query_count);
}

AVX512 static INLINE void rows_avx512(const uint16_t *rows, size_t count, size_t dim,
                                      const float *queries, float *scores, size_t pitch,
                                      const size_t query_count)
{
    size_t r = 0;
    for (; r + 4 <= count; r += 4)
        tile_avx512(rows + r * dim, dim, queries, scores + r, pitch, 4, query_count);
    for (; r < count; r++)
        tile_avx512(rows + r * dim, dim, queries, scores + r, pitch, 1, query_count);
}

AVX2 static void compute_avx2(const uint16_t *rows, size_t count, size_t dim, const float *queries,
                              size_t query_count, float *scores, size_t pitch)
{
    size_t q = 0;
    for (; q + QUERIES <= query_count; q += QUERIES)
        rows_avx2(rows, count, dim, queries + q * dim, scores + q * pitch, pitch, QUERIES);
    for (; q < query_count; q++)
        rows_avx2(rows, count, dim, queries + q * dim, scores + q * pitch, pitch, 1);
}

AVX512 static void compute_avx512(const uint16_t *rows, size_t count, size_t dim,
                                  const float *queries, size_t query_count, float *scores,
                                  size_t pitch)
{
    size_t q = 0;
    for (; q + QUERIES <= query_count; q += QUERIES)
        rows_avx512(rows, count, dim, queries + q * dim, scores + q * pitch, pitch, QUERIES);
    for (; q < query_count; q++)
        rows_avx512(rows, count, dim, queries + q * dim, scores + q * pitch, pitch, 1);
}
#endif

/* ---- ARM ------------------------------------------------------------------------------------- */

#ifdef WITH_NEON
static void compute_neon(const uint16_t *rows, size_t count, size_t dim, const float *queries,
                         size_t query_count, float *scores, size_t pitch)
{
    for (size_t r = 0; r < count; r++, rows += dim)
        for (size_t q = 0; q < query_count; q++) {
            const float *query = queries + q * dim;
            float32x4_t low = vdupq_n_f32(0), high = vdupq_n_f32(0);
            size_t i = 0;
            for (; i + 8 <= dim; i += 8) {
                const float16x8_t row = vreinterpretq_f16_u16(vld1q_u16(rows + i));
                low = vfmaq_f32(low, vcvt_f32_f16(vget_low_f16(row)), vld1q_f32(query + i));
                high = vfmaq_f32(high, vcvt_high_f32_f16(row), vld1q_f32(query + i + 4));
            }
            scores[q * pitch + r] = add_rest(rows, query, i, dim, vaddvq_f32(vaddq_f32(low, high)));
        }
}
#endif

/* ---- The list -------------------------------------------------------------------------------- */

static const struct dot_kernel list[] = {
#ifdef WITH_X86
    {"AVX-512", has_avx512, compute_avx512},
    {"AVX2", has_avx2, compute_avx2},
#endif
#ifdef WITH_NEON
    {"NEON", is_always_usable, compute_neon},
#endif
    {"plain C", is_always_usable, compute_plain},
};

const struct dot_kernel *dot_kernels(size_t *count)
{
    *count = ARRAY_COUNT(list);
    return list;
}

const struct dot_kernel *dot_fastest(void)
{
    const struct dot_kernel *kernel = list;
    while (!kernel->is_usable())
        kernel++;
    return kernel;
}

float dot_error(const float *query, size_t dim)
{
    double squares = 0;
    for (size_t i = 0; i < dim; i++)
        squares += (double)query[i] * (double)query[i];
    /* Each of the dim products and additions rounds by at most 2^-24 of the sum of all absolute
     * products, which is at most the product of both lengths. A percent is for vectors that fp16
     * made longer than 1 and for higher powers of the rounding. */
    return (float)(1.01 * (double)(dim + 2) * 0x1p-24 * sqrt(squares));
}

float dot_exact(const float *query, const uint16_t *row, size_t dim)
{
    double sum = 0;
    for (size_t i = 0; i < dim; i++)
        sum += (double)half_to_float(row[i]) * (double)query[i];
    return (float)sum;
}
