/* SPDX-License-Identifier: MIT
 *
 * Every kernel of the resize gives the bits of the one in plain C, for all numbers of channels and
 * for sizes at which the last group of taps, of rows or of columns is not full. That the one in
 * plain C gives Pillow's is tested with the reference data, in tests/image/prepare.c.
 */
#include "image/resample.h"
#include "base/array.h"
#include "support/testing.h"

#include <stdlib.h>

static uint32_t state = 1;

static void fill(uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525 + 1013904223;
        /* Runs of the extreme values make sums that have to be cut off. */
        bytes[i] = state >> 30 ? (uint8_t)(state >> 21) : (uint8_t) - (state >> 29 & 1);
    }
}

static struct resample_taps make_taps(struct resample_axis axis, void **memory)
{
    struct resample_taps taps = resample_measure(&axis);
    *memory = malloc(resample_bytes(&taps));
    assert_non_null(*memory);
    resample_fill(&taps, *memory);
    assert_true(taps.low < taps.high && taps.high <= axis.in);
    return taps;
}

static void compare_rows(const struct resample_kernel *plain, const struct resample_kernel *kernel,
                         const struct resample_taps *taps, unsigned channels)
{
    const size_t in_bytes = (size_t)(taps->high - taps->low) * channels + RESAMPLE_SLACK;
    const size_t out_bytes = (size_t)taps->axis.size * channels;
    uint8_t *rows = malloc(RESAMPLE_ROWS * in_bytes);
    uint8_t *results = calloc(2 * RESAMPLE_ROWS, out_bytes + RESAMPLE_SLACK);
    const uint8_t *in[RESAMPLE_ROWS];
    uint8_t *expected[RESAMPLE_ROWS], *found[RESAMPLE_ROWS];
    assert_true(rows && results);
    fill(rows, RESAMPLE_ROWS * in_bytes);
    for (size_t r = 0; r < RESAMPLE_ROWS; r++) {
        in[r] = rows + r * in_bytes;
        expected[r] = results + 2 * r * (out_bytes + RESAMPLE_SLACK);
        found[r] = expected[r] + out_bytes + RESAMPLE_SLACK;
    }
    plain->rows(in, taps, channels, expected);
    kernel->rows(in, taps, channels, found);
    for (size_t r = 0; r < RESAMPLE_ROWS; r++)
        assert_memory_equal(found[r], expected[r], out_bytes);
    free(rows);
    free(results);
}

static void compare_columns(const struct resample_kernel *plain,
                            const struct resample_kernel *kernel, const struct resample_taps *taps,
                            size_t bytes)
{
    const size_t pitch = bytes + 5;
    uint8_t *rows = malloc((taps->high - taps->low) * pitch);
    uint8_t *expected = calloc(2, bytes), *found = expected + bytes;
    assert_true(rows && expected);
    fill(rows, (taps->high - taps->low) * pitch);
    for (uint32_t i = 0; i < taps->axis.size; i++) {
        const uint8_t *first = rows + (taps->start[i] - taps->low) * pitch;
        plain->columns(first, pitch, taps, i, bytes, expected);
        kernel->columns(first, pitch, taps, i, bytes, found);
        assert_memory_equal(found, expected, bytes);
    }
    free(rows);
    free(expected);
}

static void kernels_agree(void **unused)
{
    static const struct resample_axis axes[] = {
        {640, 298, 37, 224}, {480, 224, 0, 224}, {3, 224, 0, 224}, {1, 5, 0, 5},   {2, 1, 0, 1},
        {4001, 7, 1, 5},     {65, 64, 0, 64},    {7, 13, 3, 7},    {500, 9, 2, 3},
    };
    static const size_t widths[] = {1, 3, 31, 32, 33, 63, 64, 65, 672};
    size_t count;
    const struct resample_kernel *kernels = resample_kernels(&count), *plain = &kernels[count - 1];
    (void)unused;
    for (size_t k = 0; k + 1 < count; k++) {
        if (!kernels[k].is_usable()) {
            print_message("not compared, because this processor lacks it: %s\n", kernels[k].name);
            continue;
        }
        for (size_t a = 0; a < ARRAY_COUNT(axes); a++) {
            void *memory;
            const struct resample_taps taps = make_taps(axes[a], &memory);
            for (unsigned channels = 1; channels <= 4; channels++)
                compare_rows(plain, &kernels[k], &taps, channels);
            for (size_t w = 0; w < ARRAY_COUNT(widths); w++)
                compare_columns(plain, &kernels[k], &taps, widths[w]);
            free(memory);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(kernels_agree)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
