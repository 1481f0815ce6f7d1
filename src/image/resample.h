/* SPDX-License-Identifier: MIT
 *
 * Resizes rows and columns of pixels with Pillow's antialiased filters, in its fixed-point
 * arithmetic: within each direction a pixel is a weighted sum of 8-bit values, rounded to 8 bits.
 * Every kernel gives the same bits.
 */
#ifndef VKCLIP_IMAGE_RESAMPLE_H
#define VKCLIP_IMAGE_RESAMPLE_H

#include "image/resize.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An axis is the resize in one direction: `in` pixels become `out` pixels, of which the crop keeps
 * `size` from `first` on. */
struct resample_axis {
    uint32_t in, out, first, size;
    enum image_filter filter; /* not FILTER_NEAREST */
};

/* Each kept output is a weighted sum of inputs. The taps are their positions and weights, as
 * Pillow's precompute_coeffs and normalize_coeffs_8bpc compute them. */
struct resample_taps {
    struct resample_axis axis;
    uint32_t *start, *count; /* [size] */
    int32_t *weights;        /* [size,stride], fixed point, zero beyond `count` */
    /* [size,2,stride]: what a weight is modulo 2^RESAMPLE_HALF, and how many of these it is. Their
     * products with pixels need half as many bits, so that a processor computes twice as many. */
    int16_t *halves;
    /* [size,RESAMPLE_DIGITS,stride]: the digits of a weight with base 256, from -128 to 127, for
     * processors that multiply bytes. */
    int8_t *digits;
    size_t stride;      /* a multiple of RESAMPLE_STEP */
    uint32_t low, high; /* All inputs that are used lie in [low, high). */
};
/* Of 32 bits, 8 are for the pixel, 2 for sums that exceed its range, and the others for the
 * fraction of a weight. */
#define RESAMPLE_WEIGHT_BITS (32 - 8 - 2)
#define RESAMPLE_HALF 15
#define RESAMPLE_DIGITS 3
#define RESAMPLE_STEP 4

/* Returns taps that lack their memory, of which they need resample_bytes at a multiple of 8, and
 * which resample_fill gives them. */
struct resample_taps resample_measure(const struct resample_axis *axis);
size_t resample_bytes(const struct resample_taps *taps);
void resample_fill(struct resample_taps *taps, void *memory);

/* A kernel resizes this many rows at once. */
#define RESAMPLE_ROWS 4
/* It may read this many bytes beyond the last pixel that is used of a row, and write as many beyond
 * the last one of a result. */
#define RESAMPLE_SLACK 32

struct resample_kernel {
    const char *name;        /* of the processor's instructions */
    bool (*is_usable)(void); /* tells whether the processor has them */
    /* Makes `size` pixels of each row, which begins with pixel `low` of the picture. */
    void (*rows)(const uint8_t *const in[RESAMPLE_ROWS], const struct resample_taps *taps,
                 unsigned channels, uint8_t *const out[RESAMPLE_ROWS]);
    /* Adds up the rows of `bytes` bytes that output `i` needs, each times its weight, and rounds
     * the sums. */
    void (*columns)(const uint8_t *rows, size_t pitch, const struct resample_taps *taps, uint32_t i,
                    size_t bytes, uint8_t *out);
};

/* Lists what this program was built with, the fastest first. The last one is always usable. */
const struct resample_kernel *resample_kernels(size_t *count);
/* Returns the fastest one that this processor can run. */
const struct resample_kernel *resample_fastest(void);

#endif
