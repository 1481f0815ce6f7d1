/* SPDX-License-Identifier: MIT
 *
 * The filter in plain C and with the instructions of AVX2 and AVX-512. Sums are of 32 bits and may
 * be taken modulo 2^32 in any order, so that all kernels give the same bits.
 */
#include "image/resample.h"

#include "base/array.h"

#include <math.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define WITH_X86
#include <immintrin.h>
#endif

#define WEIGHT_BITS RESAMPLE_WEIGHT_BITS
#define WEIGHT_HALF (1 << (WEIGHT_BITS - 1))

/* ---- Taps ------------------------------------------------------------------------------------ */

/* Computes the kernel of Keys' cubic convolution with a = -0.5. */
static double bicubic(double x)
{
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0)
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
    if (x < 2.0)
        return (((x - 5) * x + 8) * x - 4) * a;
    return 0.0;
}

static double bilinear(double x)
{
    return fabs(x) < 1.0 ? 1.0 - fabs(x) : 0.0;
}

static double sinc(double x)
{
    const double angle = x * 3.14159265358979323846;
    return x == 0.0 ? 1.0 : sin(angle) / angle;
}

static double lanczos(double x)
{
    return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0;
}

static double box(double x)
{
    return x > -0.5 && x <= 0.5 ? 1.0 : 0.0;
}

/* Computes a sinc within a window of Hamming, whose constants are floats in Pillow. */
static double hamming(double x)
{
    const double angle = fabs(x) * 3.14159265358979323846;
    if (x == 0.0)
        return 1.0;
    return fabs(x) < 1.0 ? sin(angle) / angle * (0.54f + 0.46f * cos(angle)) : 0.0;
}

/* Each filter is zero at distances beyond its radius. */
static const struct {
    double (*weigh)(double x);
    double radius;
} filters[] = {
    [FILTER_BICUBIC] = {bicubic, 2}, [FILTER_BILINEAR] = {bilinear, 1},
    [FILTER_LANCZOS] = {lanczos, 3}, [FILTER_BOX] = {box, 0.5},
    [FILTER_HAMMING] = {hamming, 1},
};

/* Where an output's inputs lie: those whose centers are within `support` of its own. The filter is
 * stretched by `stretch`, so that it never leaves out an input. */
struct window {
    double center, stretch, support;
    uint32_t start, end;
};

static struct window find_window(const struct resample_axis *axis, uint32_t i)
{
    const double scale = (double)(float)axis->in / axis->out; /* Pillow's box has floats. */
    const double stretch = scale < 1 ? 1 : scale;
    struct window window = {.center = (axis->first + i + 0.5) * scale,
                            .stretch = stretch,
                            .support = filters[axis->filter].radius * stretch};
    const double start = window.center - window.support + 0.5;
    const double end = window.center + window.support + 0.5;
    window.start = start < 0 ? 0 : (uint32_t)start;
    window.end = end > axis->in ? axis->in : (uint32_t)end;
    return window;
}

struct resample_taps resample_measure(const struct resample_axis *axis)
{
    const struct window first = find_window(axis, 0), last = find_window(axis, axis->size - 1);
    const size_t most = 2 * (size_t)ceil(first.support) + 1;
    return (struct resample_taps){.axis = *axis,
                                  .stride =
                                      (most + RESAMPLE_STEP - 1) / RESAMPLE_STEP * RESAMPLE_STEP,
                                  .low = first.start,
                                  .high = last.end};
}

size_t resample_bytes(const struct resample_taps *taps)
{
    const size_t weight = sizeof(*taps->weights) + 2 * sizeof(*taps->halves) +
                          RESAMPLE_DIGITS * sizeof(*taps->digits);
    return taps->stride * sizeof(double) +
           taps->axis.size * (sizeof(*taps->start) + sizeof(*taps->count) + taps->stride * weight);
}

/* Splits a weight into parts that a processor multiplies faster. */
static void split_weight(const struct resample_taps *taps, uint32_t i, uint32_t k)
{
    int32_t rest = taps->weights[i * taps->stride + k];
    int16_t *halves = taps->halves + 2 * i * taps->stride + k;
    int8_t *digits = taps->digits + RESAMPLE_DIGITS * i * taps->stride + k;
    halves[0] = (int16_t)((uint32_t)rest % (1 << RESAMPLE_HALF));
    halves[taps->stride] = (int16_t)((rest - halves[0]) / (1 << RESAMPLE_HALF));
    for (int d = 0; d < RESAMPLE_DIGITS; d++) {
        const int32_t digit = (int32_t)((uint32_t)(rest + 128) % 256) - 128;
        digits[(size_t)d * taps->stride] = (int8_t)digit;
        rest = (rest - digit) / 256;
    }
}

static void make_weights(struct resample_taps *taps, uint32_t i, double *exact)
{
    const struct window window = find_window(&taps->axis, i);
    const uint32_t count = window.end - window.start;
    int32_t *weights = taps->weights + i * taps->stride;
    double sum = 0;
    taps->start[i] = window.start;
    taps->count[i] = count;
    for (uint32_t k = 0; k < count; k++) {
        const double x = (double)k + window.start - window.center + 0.5;
        exact[k] = filters[taps->axis.filter].weigh(x * (1.0 / window.stretch));
        sum += exact[k];
    }
    for (uint32_t k = 0; k < taps->stride; k++) {
        const double share = k >= count ? 0 : sum != 0.0 ? exact[k] / sum : exact[k];
        const double weight = share * (1 << WEIGHT_BITS);
        weights[k] = (int32_t)(weight < 0 ? weight - 0.5 : weight + 0.5);
        split_weight(taps, i, k);
    }
}

void resample_fill(struct resample_taps *taps, void *memory)
{
    double *exact = memory;
    const uint32_t size = taps->axis.size;
    taps->start = (uint32_t *)(void *)(exact + taps->stride);
    taps->count = taps->start + size;
    taps->weights = (int32_t *)(taps->count + size);
    taps->halves = (int16_t *)(void *)(taps->weights + size * taps->stride);
    taps->digits = (int8_t *)(taps->halves + 2 * size * taps->stride);
    for (uint32_t i = 0; i < size; i++)
        make_weights(taps, i, exact);
}

/* ---- Plain C --------------------------------------------------------------------------------- */

static uint8_t clip8(int32_t value)
{
    const int32_t positive = value < 0 ? 0 : value;
    return (uint8_t)(positive > 255 ? 255 : positive);
}

static inline void resize_channels(const uint8_t *in, const struct resample_taps *taps,
                                   const unsigned channels, uint8_t *out)
{
    for (uint32_t i = 0; i < taps->axis.size; i++) {
        const int32_t *weights = taps->weights + i * taps->stride;
        const uint8_t *pixel = in + (size_t)(taps->start[i] - taps->low) * channels;
        int32_t sum[4] = {WEIGHT_HALF, WEIGHT_HALF, WEIGHT_HALF, WEIGHT_HALF};
        for (uint32_t k = 0; k < taps->count[i]; k++, pixel += channels)
            for (unsigned c = 0; c < channels; c++)
                sum[c] += pixel[c] * weights[k];
        for (unsigned c = 0; c < channels; c++)
            *out++ = clip8(sum[c] >> WEIGHT_BITS);
    }
}

static void rows_plain(const uint8_t *const in[RESAMPLE_ROWS], const struct resample_taps *taps,
                       unsigned channels, uint8_t *const out[RESAMPLE_ROWS])
{
    for (int r = 0; r < RESAMPLE_ROWS; r++)
        switch (channels) { /* With a constant the compiler keeps the sums in registers. */
        case 1:
            resize_channels(in[r], taps, 1, out[r]);
            break;
        case 2:
            resize_channels(in[r], taps, 2, out[r]);
            break;
        case 3:
            resize_channels(in[r], taps, 3, out[r]);
            break;
        default:
            resize_channels(in[r], taps, 4, out[r]);
        }
}

/* Sums of this many columns stay in registers while the rows are added. */
#define COLUMNS 32

/* Adds up some columns. A compiler turns the inner loops into vector instructions where the number
 * of columns is known. */
static inline void blend_columns(const uint8_t *rows, size_t pitch, const int32_t *weights,
                                 uint32_t count, const size_t columns, uint8_t *out)
{
    int32_t sums[COLUMNS];
    for (size_t j = 0; j < columns; j++)
        sums[j] = WEIGHT_HALF;
    for (uint32_t k = 0; k < count; k++)
        for (size_t j = 0; j < columns; j++)
            sums[j] += rows[k * pitch + j] * weights[k];
    for (size_t j = 0; j < columns; j++)
        out[j] = clip8(sums[j] >> WEIGHT_BITS);
}

static inline void blend_rows(const uint8_t *rows, size_t pitch, const struct resample_taps *taps,
                              uint32_t i, size_t bytes, uint8_t *out)
{
    const int32_t *weights = taps->weights + i * taps->stride;
    const uint32_t count = taps->count[i];
    size_t j = 0;
    for (; j + COLUMNS <= bytes; j += COLUMNS)
        blend_columns(rows + j, pitch, weights, count, COLUMNS, out + j);
    blend_columns(rows + j, pitch, weights, count, bytes - j, out + j);
}

static void columns_plain(const uint8_t *rows, size_t pitch, const struct resample_taps *taps,
                          uint32_t i, size_t bytes, uint8_t *out)
{
    blend_rows(rows, pitch, taps, i, bytes, out);
}

static bool is_always_usable(void)
{
    return true;
}

/* ---- AVX2 ------------------------------------------------------------------------------------ */

#ifdef WITH_X86
#define AVX2 __attribute__((target("avx2")))

static bool has_avx2(void)
{
    return __builtin_cpu_supports("avx2");
}

/* Makes the pattern by which four pixels become pairs of 16-bit values, one pair of neighbours per
 * channel: pixels 0 and 1 in the lower half of a register, and 2 and 3 in the upper half. */
AVX2 static __m256i pair_pattern(unsigned channels)
{
    uint8_t pattern[32];
    for (unsigned i = 0; i < sizeof(pattern); i++) {
        const unsigned pixel = i / 16 * 2 + i % 4 / 2, channel = i % 16 / 4;
        const bool zero = i % 2 || channel >= channels;
        pattern[i] = zero ? 0x80 : (uint8_t)(pixel * channels + channel);
    }
    return _mm256_loadu_si256((const void *)pattern);
}

/* Loads four weights: the first two for every pair in the lower half of a register, the others for
 * every pair in the upper half. */
AVX2 static inline __m256i load_weights(const int16_t *weights)
{
    const __m256i order = _mm256_setr_epi32(0, 0, 0, 0, 1, 1, 1, 1);
    const __m128i four = _mm_loadl_epi64((const void *)weights);
    return _mm256_permutevar8x32_epi32(_mm256_castsi128_si256(four), order);
}

/* Rounds the sums of one pixel's channels to 8 bits and stores four bytes. */
AVX2 static inline void store_pixel(__m256i low, __m256i high, uint8_t *out)
{
    const __m256i both = _mm256_add_epi32(low, _mm256_slli_epi32(high, RESAMPLE_HALF));
    __m128i sum = _mm_add_epi32(_mm256_castsi256_si128(both), _mm256_extracti128_si256(both, 1));
    sum = _mm_srai_epi32(_mm_add_epi32(sum, _mm_set1_epi32(WEIGHT_HALF)), WEIGHT_BITS);
    const __m128i packed = _mm_packs_epi32(sum, sum);
    const int pixel = _mm_cvtsi128_si32(_mm_packus_epi16(packed, packed));
    memcpy(out, &pixel, sizeof(pixel));
}

AVX2 static void rows_avx2(const uint8_t *const in[RESAMPLE_ROWS], const struct resample_taps *taps,
                           unsigned channels, uint8_t *const out[RESAMPLE_ROWS])
{
    const __m256i pattern = pair_pattern(channels);
    for (uint32_t i = 0; i < taps->axis.size; i++) {
        const int16_t *halves = taps->halves + 2 * i * taps->stride;
        size_t place = (size_t)(taps->start[i] - taps->low) * channels;
        __m256i low[RESAMPLE_ROWS], high[RESAMPLE_ROWS];
        for (int r = 0; r < RESAMPLE_ROWS; r++)
            low[r] = high[r] = _mm256_setzero_si256();
        for (uint32_t k = 0; k < taps->count[i]; k += RESAMPLE_STEP) {
            const __m256i low_weights = load_weights(halves + k);
            const __m256i high_weights = load_weights(halves + taps->stride + k);
            for (int r = 0; r < RESAMPLE_ROWS; r++) {
                const __m128i bytes = _mm_loadu_si128((const void *)(in[r] + place));
                const __m256i pairs =
                    _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), pattern);
                low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(pairs, low_weights));
                high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(pairs, high_weights));
            }
            place += RESAMPLE_STEP * channels;
        }
        for (int r = 0; r < RESAMPLE_ROWS; r++)
            store_pixel(low[r], high[r], out[r] + i * channels);
    }
}

AVX2 static void columns_avx2(const uint8_t *rows, size_t pitch, const struct resample_taps *taps,
                              uint32_t i, size_t bytes, uint8_t *out)
{
    blend_rows(rows, pitch, taps, i, bytes, out);
}

/* ---- AVX-512 with VNNI ----------------------------------------------------------------------- */

/* One instruction adds to a sum of 32 bits the products of four pixels with four digits. */
#define VNNI __attribute__((target("avx512f,avx512bw,avx512vnni")))

static bool has_vnni(void)
{
    return __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vnni");
}

/* Adds the products of 16 times four pixels with the same four weights to sums per digit. `digits`
 * are those of the first of the four weights. */
VNNI static inline void add_products(__m512i sums[RESAMPLE_DIGITS], __m512i pixels,
                                     const int8_t *digits, size_t stride)
{
    for (int d = 0; d < RESAMPLE_DIGITS; d++) {
        int32_t four;
        memcpy(&four, digits + (size_t)d * stride, sizeof(four));
        sums[d] = _mm512_dpbusd_epi32(sums[d], pixels, _mm512_set1_epi32(four));
    }
}

/* Rounds sums per digit; the results may exceed 8 bits. */
VNNI static inline __m512i round_sums(const __m512i sums[RESAMPLE_DIGITS])
{
    __m512i sum = _mm512_set1_epi32(WEIGHT_HALF);
    for (int d = 0; d < RESAMPLE_DIGITS; d++)
        sum = _mm512_add_epi32(sum, _mm512_slli_epi32(sums[d], 8 * (unsigned)d));
    return _mm512_srai_epi32(sum, WEIGHT_BITS);
}

/* Loads four pixels of each row, the same channel of all four side by side. */
VNNI static inline __m512i load_pixels(const uint8_t *const in[RESAMPLE_ROWS], size_t place,
                                       __m512i pattern)
{
    __m512i rows = _mm512_castsi128_si512(_mm_loadu_si128((const void *)(in[0] + place)));
    rows = _mm512_inserti32x4(rows, _mm_loadu_si128((const void *)(in[1] + place)), 1);
    rows = _mm512_inserti32x4(rows, _mm_loadu_si128((const void *)(in[2] + place)), 2);
    rows = _mm512_inserti32x4(rows, _mm_loadu_si128((const void *)(in[3] + place)), 3);
    return _mm512_shuffle_epi8(rows, pattern);
}

VNNI static __m512i channel_pattern(unsigned channels)
{
    uint8_t pattern[16];
    for (unsigned i = 0; i < sizeof(pattern); i++)
        pattern[i] = i / 4 < channels ? (uint8_t)(i % 4 * channels + i / 4) : 0x80;
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const void *)pattern));
}

VNNI static void rows_vnni(const uint8_t *const in[RESAMPLE_ROWS], const struct resample_taps *taps,
                           unsigned channels, uint8_t *const out[RESAMPLE_ROWS])
{
    const __m512i pattern = channel_pattern(channels);
    for (uint32_t i = 0; i < taps->axis.size; i++) {
        const int8_t *digits = taps->digits + RESAMPLE_DIGITS * i * taps->stride;
        size_t place = (size_t)(taps->start[i] - taps->low) * channels;
        __m512i sums[RESAMPLE_DIGITS] = {_mm512_setzero_si512(), _mm512_setzero_si512(),
                                         _mm512_setzero_si512()};
        for (uint32_t k = 0; k < taps->count[i]; k += RESAMPLE_STEP) {
            add_products(sums, load_pixels(in, place, pattern), digits + k, taps->stride);
            place += (size_t)RESAMPLE_STEP * channels;
        }
        const __m512i rounded = _mm512_max_epi32(round_sums(sums), _mm512_setzero_si512());
        uint8_t pixels[RESAMPLE_ROWS][4];
        _mm_storeu_si128((void *)pixels, _mm512_cvtusepi32_epi8(rounded));
        for (int r = 0; r < RESAMPLE_ROWS; r++)
            memcpy(out[r] + i * channels, pixels[r], sizeof(pixels[r]));
    }
}

/* Adds up 64 columns, of which `mask` says which there are. */
VNNI static inline void blend_block(const uint8_t *rows, size_t pitch,
                                    const struct resample_taps *taps, uint32_t i, __mmask64 mask,
                                    uint8_t *out)
{
    const int8_t *digits = taps->digits + RESAMPLE_DIGITS * i * taps->stride;
    const uint32_t count = taps->count[i];
    __m512i sums[4][RESAMPLE_DIGITS];
    for (int q = 0; q < 4; q++)
        for (int d = 0; d < RESAMPLE_DIGITS; d++)
            sums[q][d] = _mm512_setzero_si512();
    for (uint32_t k = 0; k < count; k += RESAMPLE_STEP) {
        __m512i row[RESAMPLE_STEP];
        for (uint32_t r = 0; r < RESAMPLE_STEP; r++) /* The weights after the last one are 0. */
            row[r] =
                _mm512_maskz_loadu_epi8(mask, rows + (k + r < count ? k + r : count - 1) * pitch);
        const __m512i low01 = _mm512_unpacklo_epi8(row[0], row[1]);
        const __m512i high01 = _mm512_unpackhi_epi8(row[0], row[1]);
        const __m512i low23 = _mm512_unpacklo_epi8(row[2], row[3]);
        const __m512i high23 = _mm512_unpackhi_epi8(row[2], row[3]);
        const __m512i columns[4] = {
            _mm512_unpacklo_epi16(low01, low23), _mm512_unpackhi_epi16(low01, low23),
            _mm512_unpacklo_epi16(high01, high23), _mm512_unpackhi_epi16(high01, high23)};
        for (int q = 0; q < 4; q++)
            add_products(sums[q], columns[q], digits + k, taps->stride);
    }
    const __m512i low = _mm512_packs_epi32(round_sums(sums[0]), round_sums(sums[1]));
    const __m512i high = _mm512_packs_epi32(round_sums(sums[2]), round_sums(sums[3]));
    _mm512_mask_storeu_epi8(out, mask, _mm512_packus_epi16(low, high));
}

VNNI static void columns_vnni(const uint8_t *rows, size_t pitch, const struct resample_taps *taps,
                              uint32_t i, size_t bytes, uint8_t *out)
{
    for (size_t j = 0; j < bytes; j += 64) {
        const size_t left = bytes - j;
        const __mmask64 mask = left < 64 ? ((uint64_t)1 << left) - 1 : UINT64_MAX;
        blend_block(rows + j, pitch, taps, i, mask, out + j);
    }
}
#endif

/* ---- The list -------------------------------------------------------------------------------- */

static const struct resample_kernel list[] = {
#ifdef WITH_X86
    {"AVX-512 with VNNI", has_vnni, rows_vnni, columns_vnni},
    {"AVX2", has_avx2, rows_avx2, columns_avx2},
#endif
    {"plain C", is_always_usable, rows_plain, columns_plain},
};

const struct resample_kernel *resample_kernels(size_t *count)
{
    *count = ARRAY_COUNT(list);
    return list;
}

const struct resample_kernel *resample_fastest(void)
{
    const struct resample_kernel *kernel = list;
    while (!kernel->is_usable())
        kernel++;
    return kernel;
}
