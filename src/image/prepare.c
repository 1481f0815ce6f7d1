/* SPDX-License-Identifier: MIT
 *
 * Turns decoded pixels into a tower's input, bit for bit as Pillow and torchvision do it: resize of
 * the shorter side to S, centre crop, normalisation. Only what the crop keeps is computed, so that
 * a picture of 1 x 60000 pixels costs no more than any other. Pictures so thin that the longer side
 * would exceed an int are refused.
 */
#include "image/prepare.h"
#include "base/error.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* An axis is the resize in one direction: `in` pixels become `out` pixels, of which the crop keeps
 * S from `first` on. */
struct axis {
    uint32_t in, out, first;
};

/* Each kept output is a weighted sum of inputs. The taps are their positions and weights, as
 * Pillow's precompute_coeffs and normalize_coeffs_8bpc compute them. */
struct taps {
    uint32_t *start, *count; /* [S] */
    int32_t *weights;        /* [S,stride], fixed point of WEIGHT_BITS */
    size_t stride;
    uint32_t low, high; /* All inputs that are used lie in [low, high). */
};

/* Of 32 bits, 8 are for the pixel, 2 for sums that exceed its range, and the others for the
 * fraction. */
#define WEIGHT_BITS (32 - 8 - 2)
#define WEIGHT_HALF (1 << (WEIGHT_BITS - 1))

static uint8_t clip8(int32_t value)
{
    const int32_t positive = value < 0 ? 0 : value;
    return (uint8_t)(positive > 255 ? 255 : positive);
}

static struct axis make_axis(uint32_t in, uint32_t out, const struct image_transform *transform)
{
    uint32_t rest = out - transform->size, half = rest / 2;
    /* Python's round() goes to the even neighbour at .5, so that half of 1 is 0 and half of 3 is 2.
     */
    bool up = !transform->rgb_first && rest % 2 && half % 2;
    return (struct axis){in, out, half + up};
}

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

static void free_taps(struct taps *taps)
{
    free(taps->start);
    free(taps->count);
    free(taps->weights);
    *taps = (struct taps){0};
}

static bool make_taps(struct axis axis, uint32_t size, struct taps *taps)
{
    double scale = (double)(float)axis.in / axis.out; /* Pillow's box has floats. */
    double widening = scale < 1.0 ? 1.0 : scale, support = 2.0 * widening;
    taps->stride = (size_t)ceil(support) * 2 + 1;
    taps->start = calloc(size, sizeof(*taps->start));
    taps->count = calloc(size, sizeof(*taps->count));
    taps->weights = calloc(size, taps->stride * sizeof(*taps->weights));
    double *exact = calloc(taps->stride, sizeof(*exact));
    bool good = taps->start && taps->count && taps->weights && exact;
    for (uint32_t i = 0; good && i < size; i++) {
        double center = (axis.first + i + 0.5) * scale, sum = 0;
        double start = center - support + 0.5, end = center + support + 0.5;
        taps->start[i] = start < 0 ? 0 : (uint32_t)start;
        taps->count[i] = (end > axis.in ? axis.in : (uint32_t)end) - taps->start[i];
        for (uint32_t k = 0; k < taps->count[i]; k++) {
            double x = (double)k + taps->start[i] - center + 0.5;
            exact[k] = bicubic(x * (1.0 / widening));
            sum += exact[k];
        }
        int32_t *weights = taps->weights + i * taps->stride;
        for (uint32_t k = 0; k < taps->count[i]; k++) {
            double weight = (sum != 0.0 ? exact[k] / sum : exact[k]) * (1 << WEIGHT_BITS);
            weights[k] = (int32_t)(weight < 0 ? weight - 0.5 : weight + 0.5);
        }
        taps->high = taps->start[i] + taps->count[i];
    }
    free(exact);
    taps->low = good ? taps->start[0] : 0;
    return good;
}

/* Finds the nearest input of each output. Positions are summed up instead of multiplied, as in
 * Pillow's ImagingScaleAffine, so that rounding gives the same pixels. */
static void make_nearest(struct axis axis, uint32_t size, uint32_t *positions)
{
    double scale = (double)(float)axis.in / axis.out, position = scale * 0.5;
    for (uint32_t i = 0; i < axis.first; i++)
        position += scale;
    for (uint32_t i = 0; i < size; i++, position += scale)
        positions[i] = position < axis.in ? (uint32_t)position : axis.in - 1;
}

/* Drops the alpha of one row's pixels, or multiplies the colours by their alpha (Pillow's RGBa and
 * La). */
static void convert_row(const uint8_t *in, uint32_t count, unsigned channels, bool drop_alpha,
                        uint8_t *out)
{
    unsigned colours = channels - 1;
    for (uint32_t i = 0; i < count; i++, in += channels) {
        unsigned alpha = in[colours];
        for (unsigned c = 0; c < colours; c++) {
            unsigned product = in[c] * alpha + 128;
            *out++ = drop_alpha ? in[c] : (uint8_t)((product + (product >> 8)) >> 8);
        }
        if (!drop_alpha)
            *out++ = (uint8_t)alpha;
    }
}

static inline void resize_channels(const uint8_t *in, const struct taps *taps, uint32_t size,
                                   const unsigned channels, uint8_t *out)
{
    for (uint32_t i = 0; i < size; i++) {
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

static void resize_row(const uint8_t *in, const struct taps *taps, uint32_t size, unsigned channels,
                       uint8_t *out)
{
    switch (channels) { /* With a constant the compiler keeps the sums in registers. */
    case 1:
        resize_channels(in, taps, size, 1, out);
        break;
    case 2:
        resize_channels(in, taps, size, 2, out);
        break;
    case 3:
        resize_channels(in, taps, size, 3, out);
        break;
    default:
        resize_channels(in, taps, size, 4, out);
    }
}

/* Mixes inks as Pillow does, whose division by 255 is rounded. `rgb` may be `cmyk`. */
static void mix_inks(const uint8_t *cmyk, size_t count, uint8_t *rgb)
{
    for (size_t i = 0; i < count; i++, cmyk += 4) {
        const int white = 255 - cmyk[3];
        for (unsigned c = 0; c < 3; c++) {
            const int product = cmyk[c] * white + 128;
            *rgb++ = clip8(white - ((product + (product >> 8)) >> 8));
        }
    }
}

/* Converts grey or colour pixels to RGB, drops their alpha, and undoes the multiplication by alpha
 * if `multiplied`. */
static void to_rgb(const uint8_t *in, size_t count, unsigned channels, bool multiplied,
                   uint8_t *out)
{
    bool has_alpha = channels % 2 == 0;
    for (size_t i = 0; i < count; i++, in += channels)
        for (unsigned c = 0; c < 3; c++) {
            unsigned value = in[channels < 3 ? 0 : c], alpha = has_alpha ? in[channels - 1] : 255;
            if (multiplied && alpha != 0 && alpha != 255)
                value = 255 * value / alpha;
            *out++ = value > 255 ? 255 : (uint8_t)value;
        }
}

static bool has_alpha(const struct vkclip_image *image)
{
    return image->channels % 2 == 0 && !image->cmyk;
}

static const uint8_t *image_row(const struct vkclip_image *image, uint32_t y)
{
    size_t stride = image->stride ? image->stride : (size_t)image->width * image->channels;
    return image->pixels + y * stride;
}

/* Copies pixels without a filter: each pixel if the size is right, else the nearest neighbours, as
 * Pillow does for pictures with palettes or single bits. */
static int pick(const struct vkclip_image *image, struct axis x, struct axis y, uint32_t size,
                uint8_t *rgb)
{
    uint32_t *columns = calloc(size, 2 * sizeof(*columns)), *rows;
    if (!columns)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a picture of %u x %u", size, size);
    rows = columns + size;
    make_nearest(x, size, columns);
    make_nearest(y, size, rows);
    for (uint32_t i = 0; i < size; i++)
        for (uint32_t j = 0; j < size; j++, rgb += 3) {
            const uint8_t *pixel = image_row(image, rows[i]) + (size_t)columns[j] * image->channels;
            if (image->cmyk)
                mix_inks(pixel, 1, rgb);
            else
                to_rgb(pixel, 1, image->channels, false, rgb);
        }
    free(columns);
    return VKCLIP_OK;
}

/* Adds up `count` rows of `size` bytes, each times its weight, and rounds the sums to 8 bits. */
static void blend_rows(const uint8_t *rows, const int32_t *weights, uint32_t count, size_t size,
                       int32_t *sums, uint8_t *blended)
{
    for (size_t j = 0; j < size; j++)
        sums[j] = WEIGHT_HALF;
    for (uint32_t k = 0; k < count; k++, rows += size) {
        int32_t weight = weights[k];
        for (size_t j = 0; j < size; j++)
            sums[j] += rows[j] * weight;
    }
    for (size_t j = 0; j < size; j++)
        blended[j] = clip8(sums[j] >> WEIGHT_BITS);
}

/* Resizes in the order of Pillow's ImagingResample: first within rows, with results rounded to 8
 * bits, then within columns. */
static int resize(const struct vkclip_image *image, struct axis x, struct axis y, uint32_t size,
                  bool rgb_first, uint8_t *rgb)
{
    struct taps across = {0}, down = {0};
    uint8_t *narrow = NULL, *converted = NULL, *blended = NULL;
    int32_t *sums = NULL;
    const bool alpha = has_alpha(image), converts = alpha || (image->cmyk && rgb_first);
    unsigned channels = image->channels - (converts && rgb_first);
    size_t row_size = (size_t)size * channels;
    if (make_taps(x, size, &across) && make_taps(y, size, &down)) {
        narrow = calloc(down.high - down.low, row_size);
        sums = calloc(row_size, sizeof(*sums));
        blended = malloc(row_size);
        converted = calloc(across.high - across.low, channels);
    }
    const bool good = narrow && sums && blended && converted;
    for (uint32_t i = down.low; i < down.high && good; i++) {
        const uint8_t *row = image_row(image, i) + (size_t)across.low * image->channels;
        if (alpha)
            convert_row(row, across.high - across.low, image->channels, rgb_first, converted);
        else if (converts)
            mix_inks(row, across.high - across.low, converted);
        row = converts ? converted : row;
        resize_row(row, &across, size, channels, narrow + (i - down.low) * row_size);
    }
    for (uint32_t i = 0; i < size && good; i++, rgb += (size_t)size * 3) {
        const uint8_t *rows = narrow + (down.start[i] - down.low) * row_size;
        blend_rows(rows, down.weights + i * down.stride, down.count[i], row_size, sums, blended);
        if (image->cmyk && !rgb_first)
            mix_inks(blended, size, rgb);
        else
            to_rgb(blended, size, channels, alpha && !rgb_first, rgb);
    }
    free(converted);
    free(blended);
    free(sums);
    free(narrow);
    free_taps(&down);
    free_taps(&across);
    if (!good)
        return error_fail(VKCLIP_EMEMORY, "out of memory to resize a picture of %u x %u to %u x %u",
                          image->width, image->height, x.out, y.out);
    return VKCLIP_OK;
}

static int check_arguments(const struct vkclip_image *image,
                           const struct image_transform *transform)
{
    if (!image || !image->pixels || !transform || !transform->size)
        return error_fail(VKCLIP_EINVALID, "no picture or no size to preprocess it to");
    if (!image->width || !image->height || image->width > INT_MAX || image->height > INT_MAX)
        return error_fail(VKCLIP_EINVALID, "picture of %u x %u pixels, expected 1 to %d each way",
                          image->width, image->height, INT_MAX);
    if (image->channels < 1 || image->channels > 4)
        return error_fail(VKCLIP_EINVALID, "picture of %u channels, expected 1 to 4",
                          image->channels);
    if (image->cmyk && image->channels != 4)
        return error_fail(VKCLIP_EINVALID, "CMYK picture of %u channels, expected 4",
                          image->channels);
    uint64_t least = (uint64_t)image->width * image->channels;
    if (least > SIZE_MAX || (image->stride && image->stride < least))
        return error_fail(VKCLIP_EINVALID, "picture rows of %zu bytes, expected at least %llu",
                          image->stride, (unsigned long long)least);
    uint32_t shorter = image->width < image->height ? image->width : image->height;
    uint32_t longer = image->width < image->height ? image->height : image->width;
    if ((uint64_t)transform->size * longer / shorter > INT_MAX)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "picture of %u x %u pixels is too thin: with the shorter side at %u, "
                          "the longer would pass %d",
                          image->width, image->height, transform->size, INT_MAX);
    return VKCLIP_OK;
}

int image_preprocess(const struct vkclip_image *image, const struct image_transform *transform,
                     uint8_t *u8, float *pixel_values)
{
    int error = check_arguments(image, transform);
    if (error)
        return error;
    uint32_t size = transform->size, width = image->width, height = image->height;
    uint32_t shorter = width < height ? width : height;
    struct axis x = make_axis(width, (uint32_t)((uint64_t)size * width / shorter), transform);
    struct axis y = make_axis(height, (uint32_t)((uint64_t)size * height / shorter), transform);
    size_t count = (size_t)size * size;
    uint8_t *rgb = u8 ? u8 : malloc(count * 3);
    if (!rgb)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a picture of %u x %u", size, size);

    /* If the shorter side changes, the longer one changes too, so that Pillow never skips one of
     * the two passes. */
    if (shorter == size || (image->indexed && !transform->rgb_first))
        error = pick(image, x, y, size, rgb);
    else
        error = resize(image, x, y, size, transform->rgb_first, rgb);
    for (unsigned c = 0; !error && pixel_values && c < 3; c++) {
        float values[256];
        for (unsigned i = 0; i < 256; i++)
            values[i] = ((float)i / 255.0f - transform->mean[c]) / transform->std[c];
        for (size_t i = 0; i < count; i++)
            pixel_values[c * count + i] = values[rgb[i * 3 + c]];
    }
    if (rgb != u8)
        free(rgb);
    return error;
}

int image_resize(const struct vkclip_image *image, const struct image_transform *transform,
                 uint8_t *u8)
{
    int error = check_arguments(image, transform);
    if (error)
        return error;
    uint32_t size = transform->size;
    struct axis x = {.in = image->width, .out = size}, y = {.in = image->height, .out = size};
    bool as_it_is = image->width == size && image->height == size;
    if (as_it_is || (image->indexed && !transform->rgb_first))
        return pick(image, x, y, size, u8);
    return resize(image, x, y, size, transform->rgb_first, u8);
}

void image_make_rgb(struct vkclip_image *image)
{
    if (!image->cmyk)
        return;
    mix_inks(image->pixels, (size_t)image->width * image->height, (uint8_t *)image->pixels);
    image->channels = 3;
    image->cmyk = false;
}
