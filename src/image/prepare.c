/* SPDX-License-Identifier: MIT
 *
 * Turns decoded pixels into a tower's input, bit for bit as Pillow and torchvision do it: resize of
 * the shorter side to S, centre crop, normalisation. Only what the crop keeps is computed, so that
 * a picture of 1 x 60000 pixels costs no more than any other. Pictures so thin that the longer side
 * would exceed an int are refused.
 */
#include "image/prepare.h"
#include "base/error.h"
#include "image/resample.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

static uint8_t clip8(int32_t value)
{
    const int32_t positive = value < 0 ? 0 : value;
    return (uint8_t)(positive > 255 ? 255 : positive);
}

static struct resample_axis make_axis(uint32_t in, uint32_t out,
                                      const struct image_transform *transform)
{
    uint32_t rest = out - transform->size, half = rest / 2;
    /* Python's round() goes to the even neighbour at .5, so that half of 1 is 0 and half of 3 is 2.
     */
    bool up = !transform->rgb_first && rest % 2 && half % 2;
    return (struct resample_axis){in, out, half + up, transform->size};
}

/* Finds the nearest input of each output. Positions are summed up instead of multiplied, as in
 * Pillow's ImagingScaleAffine, so that rounding gives the same pixels. */
static void make_nearest(struct resample_axis axis, uint32_t *positions)
{
    double scale = (double)(float)axis.in / axis.out, position = scale * 0.5;
    for (uint32_t i = 0; i < axis.first; i++)
        position += scale;
    for (uint32_t i = 0; i < axis.size; i++, position += scale)
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
static int pick(const struct vkclip_image *image, struct resample_axis x, struct resample_axis y,
                uint8_t *rgb)
{
    const uint32_t size = x.size;
    const bool copies = image->channels == 3 && x.in == x.out;
    uint32_t *columns = calloc(size, 2 * sizeof(*columns)), *rows;
    if (!columns)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a picture of %u x %u", size, size);
    rows = columns + size;
    make_nearest(x, columns);
    make_nearest(y, rows);
    for (uint32_t i = 0; i < size; i++, rgb += (size_t)3 * size) {
        const uint8_t *row = image_row(image, rows[i]);
        if (copies)
            memcpy(rgb, row + (size_t)3 * columns[0], (size_t)3 * size);
        for (uint32_t j = 0; j < size && !copies; j++) {
            const uint8_t *pixel = row + (size_t)columns[j] * image->channels;
            if (image->cmyk)
                mix_inks(pixel, 1, rgb + 3 * j);
            else
                to_rgb(pixel, 1, image->channels, false, rgb + 3 * j);
        }
    }
    free(columns);
    return VKCLIP_OK;
}

/* A resize in the order of Pillow's ImagingResample: first within rows, with results rounded to 8
 * bits, then within columns. */
struct resize {
    const struct vkclip_image *image;
    const struct resample_kernel *kernel;
    struct resample_taps across, down;
    bool rgb_first;
    unsigned channels;        /* of the rows that are resized */
    size_t row_bytes;         /* of a row that is resized within itself */
    uint8_t *narrow;          /* the rows that are used, resized within themselves */
    uint8_t *blended;         /* one row of the result */
    uint8_t *copies;          /* RESAMPLE_ROWS rows of the picture */
    size_t pitch, copy_pitch; /* bytes from one row of `narrow`, or of `copies`, to the next */
};

/* Adds bytes to a block, and returns their place. */
static size_t add_bytes(size_t *total, size_t bytes)
{
    const size_t place = *total;
    *total += (bytes + 31) / 32 * 32;
    return place;
}

static bool open_resize(struct resize *resize, struct scratch *scratch)
{
    const size_t used = resize->across.high - resize->across.low;
    size_t bytes = 0;
    resize->row_bytes = (size_t)resize->across.axis.size * resize->channels;
    resize->pitch = resize->row_bytes + RESAMPLE_SLACK;
    resize->copy_pitch = used * resize->image->channels + RESAMPLE_SLACK;
    const size_t across = add_bytes(&bytes, resample_bytes(&resize->across));
    const size_t down = add_bytes(&bytes, resample_bytes(&resize->down));
    const size_t narrow = add_bytes(&bytes, (resize->down.high - resize->down.low) * resize->pitch);
    const size_t blended = add_bytes(&bytes, resize->pitch);
    const size_t copies = add_bytes(&bytes, RESAMPLE_ROWS * resize->copy_pitch);
    uint8_t *memory = scratch_reserve(scratch, bytes);
    if (!memory)
        return false;
    resample_fill(&resize->across, memory + across);
    resample_fill(&resize->down, memory + down);
    resize->narrow = memory + narrow;
    resize->blended = memory + blended;
    resize->copies = memset(memory + copies, 0, RESAMPLE_ROWS * resize->copy_pitch);
    return true;
}

/* Returns the used part of a row of the picture: where it is, or a copy if its colours have to be
 * converted first, or if the bytes that a kernel may read beyond it are not the picture's. */
static const uint8_t *take_row(const struct resize *resize, uint32_t i, uint8_t *copy)
{
    const struct vkclip_image *image = resize->image;
    const uint32_t low = resize->across.low, used = resize->across.high - low;
    const uint8_t *row = image_row(image, i) + (size_t)low * image->channels;
    const uint8_t *end =
        image_row(image, image->height - 1) + (size_t)image->width * image->channels;
    if (has_alpha(image))
        convert_row(row, used, image->channels, resize->rgb_first, copy);
    else if (image->cmyk && resize->rgb_first)
        mix_inks(row, used, copy);
    else if ((size_t)(end - row) >= (size_t)used * image->channels + RESAMPLE_SLACK)
        return row;
    else
        memcpy(copy, row, (size_t)used * image->channels);
    return copy;
}

/* Resizes all used rows within themselves. Where fewer rows are left than a kernel takes, it gets
 * the last one more than once. */
static void resize_rows(const struct resize *resize)
{
    const uint32_t low = resize->down.low, high = resize->down.high;
    for (uint32_t first = low; first < high; first += RESAMPLE_ROWS) {
        const uint8_t *in[RESAMPLE_ROWS];
        uint8_t *out[RESAMPLE_ROWS];
        for (uint32_t r = 0; r < RESAMPLE_ROWS; r++) {
            const uint32_t i = r < high - first ? first + r : high - 1;
            in[r] = take_row(resize, i, resize->copies + r * resize->copy_pitch);
            out[r] = resize->narrow + (i - low) * resize->pitch;
        }
        resize->kernel->rows(in, &resize->across, resize->channels, out);
    }
}

static void resize_columns(const struct resize *resize, uint8_t *rgb)
{
    const struct vkclip_image *image = resize->image;
    const struct resample_taps *down = &resize->down;
    const bool multiplied = has_alpha(image) && !resize->rgb_first;
    const uint32_t size = resize->across.axis.size;
    for (uint32_t i = 0; i < down->axis.size; i++, rgb += (size_t)size * 3) {
        const bool is_rgb = resize->channels == 3;
        const uint8_t *rows = resize->narrow + (down->start[i] - down->low) * resize->pitch;
        resize->kernel->columns(rows, resize->pitch, down->weights + i * down->stride,
                                down->count[i], resize->row_bytes, is_rgb ? rgb : resize->blended);
        if (image->cmyk && !resize->rgb_first)
            mix_inks(resize->blended, size, rgb);
        else if (!is_rgb)
            to_rgb(resize->blended, size, resize->channels, multiplied, rgb);
    }
}

static int resize_picture(const struct vkclip_image *image, struct resample_axis x,
                          struct resample_axis y, bool rgb_first, struct scratch *scratch,
                          uint8_t *rgb)
{
    const bool drops = rgb_first && (has_alpha(image) || image->cmyk);
    struct scratch own = {0};
    struct resize resize = {.image = image,
                            .kernel = resample_fastest(),
                            .across = resample_measure(&x),
                            .down = resample_measure(&y),
                            .rgb_first = rgb_first,
                            .channels = image->channels - drops};
    const bool good = open_resize(&resize, scratch ? scratch : &own);
    if (good) {
        resize_rows(&resize);
        resize_columns(&resize, rgb);
    }
    scratch_free(&own);
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

int image_prepare(const struct vkclip_image *image, const struct image_transform *transform,
                  struct scratch *scratch, uint8_t *rgb)
{
    int error = check_arguments(image, transform);
    if (error)
        return error;
    const uint64_t size = transform->size;
    const uint32_t width = image->width, height = image->height;
    const uint32_t shorter = width < height ? width : height;
    const struct resample_axis x = make_axis(width, (uint32_t)(size * width / shorter), transform);
    const struct resample_axis y =
        make_axis(height, (uint32_t)(size * height / shorter), transform);
    /* If the shorter side changes, the longer one changes too, so that Pillow never skips one of
     * the two passes. */
    if (shorter == size || (image->indexed && !transform->rgb_first))
        return pick(image, x, y, rgb);
    return resize_picture(image, x, y, transform->rgb_first, scratch, rgb);
}

void image_normalised(const struct image_transform *transform, float values[3][256])
{
    for (unsigned c = 0; c < 3; c++)
        for (unsigned i = 0; i < 256; i++)
            values[c][i] = ((float)i / 255.0f - transform->mean[c]) / transform->std[c];
}

int image_preprocess(const struct vkclip_image *image, const struct image_transform *transform,
                     uint8_t *u8, float *pixel_values)
{
    const size_t count = transform ? (size_t)transform->size * transform->size : 0;
    uint8_t *rgb = u8 ? u8 : malloc(count * 3 + 1);
    if (!rgb)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a picture of %zu pixels", count);
    int error = image_prepare(image, transform, NULL, rgb);
    if (!error && pixel_values) {
        float values[3][256];
        image_normalised(transform, values);
        for (unsigned c = 0; c < 3; c++)
            for (size_t i = 0; i < count; i++)
                pixel_values[c * count + i] = values[c][rgb[3 * i + c]];
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
    const uint32_t size = transform->size;
    const struct resample_axis x = {.in = image->width, .out = size, .size = size};
    const struct resample_axis y = {.in = image->height, .out = size, .size = size};
    bool as_it_is = image->width == size && image->height == size;
    if (as_it_is || (image->indexed && !transform->rgb_first))
        return pick(image, x, y, u8);
    return resize_picture(image, x, y, transform->rgb_first, NULL, u8);
}

void image_make_rgb(struct vkclip_image *image)
{
    if (!image->cmyk)
        return;
    mix_inks(image->pixels, (size_t)image->width * image->height, (uint8_t *)image->pixels);
    image->channels = 3;
    image->cmyk = false;
}
