/* SPDX-License-Identifier: MIT
 *
 * Turns decoded pixels into a tower's input, bit for bit as Pillow and torchvision do it: resize,
 * centre crop, normalisation. Only what the crop keeps is computed, so that a picture of 1 x 60000
 * pixels costs no more than any other. Pictures so thin that the longer side would exceed an int,
 * or that the shorter one would have no pixel, are refused.
 */
#include "image/prepare.h"
#include "base/error.h"
#include "base/memory.h"
#include "image/resample.h"

#include <limits.h>
#include <math.h>
#include <string.h>

static uint8_t clip8(int32_t value)
{
    const int32_t positive = value < 0 ? 0 : value;
    return (uint8_t)(positive > 255 ? 255 : positive);
}

/* Places the centre of a resized axis. Python's round() goes to the even neighbour at .5, so that
 * half of 1 is 0 and half of 3 is 2. */
static struct resample_axis make_axis(uint32_t in, uint32_t out,
                                      const struct image_transform *transform)
{
    const uint32_t size = transform->size;
    struct resample_axis axis = {in, out, 0, out, transform->resize.filter};
    if (out > size) {
        const uint32_t rest = out - size, half = rest / 2;
        const bool up = !transform->rgb_first && rest % 2 && half % 2;
        axis.first = half + up;
        axis.size = size;
    }
    return axis;
}

/* Returns how many pixels come before those of an axis that is shorter than the result. */
static uint32_t find_margin(const struct resample_axis *axis,
                            const struct image_transform *transform)
{
    return (transform->size - axis->size + transform->rgb_first) / 2;
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

/* The size of a picture after the resize. */
struct frame {
    uint64_t width, height;
};

static uint32_t size_or(uint32_t size, const struct image_transform *transform)
{
    return size ? size : transform->size;
}

/* Makes the shorter side `shortest`. The longer one is truncated, as by Python's int(). */
static struct frame fit_shortest(uint64_t width, uint64_t height, uint64_t shortest)
{
    const uint64_t shorter = width < height ? width : height;
    return (struct frame){shortest * width / shorter, shortest * height / shorter};
}

/* Makes the longer side `size`. The shorter one is rounded half to even, as by Python's round(). */
static struct frame fit_longest(uint32_t width, uint32_t height, uint32_t size)
{
    const double across = (double)width / size, down = (double)height / size;
    const double ratio = across > down ? across : down;
    return (struct frame){(uint64_t)rint(width / ratio), (uint64_t)rint(height / ratio)};
}

/* Follows transformers' get_size_with_aspect_ratio, whose sides come from doubles in this order. */
static struct frame fit_between(uint32_t width, uint32_t height, uint32_t shortest,
                                uint32_t longest)
{
    const double shorter = width < height ? width : height;
    const double longer = width < height ? height : width;
    if (longer / shorter * shortest <= longest)
        return fit_shortest(width, height, shortest);
    const double exact = longest * shorter / longer;
    const uint32_t size = (uint32_t)rint(exact);
    if ((uint32_t)shorter == size)
        return (struct frame){width, height};
    const uint64_t other = (uint64_t)(exact * longer / shorter);
    return width < height ? (struct frame){size, other} : (struct frame){other, size};
}

static struct frame find_frame(const struct vkclip_image *image,
                               const struct image_transform *transform)
{
    const struct image_resize *resize = &transform->resize;
    const uint32_t width = image->width, height = image->height;
    const uint32_t shortest = size_or(resize->shortest, transform);
    switch (resize->fit) {
    case FIT_SQUASH:
        return (struct frame){size_or(resize->width, transform),
                              size_or(resize->height, transform)};
    case FIT_LONGEST:
        return fit_longest(width, height, transform->size);
    case FIT_BETWEEN:
        return fit_between(width, height, shortest, resize->longest);
    default:
        return fit_shortest(width, height, shortest);
    }
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

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
                uint8_t *rgb, size_t pitch)
{
    const bool copies = image->channels == 3 && x.in == x.out;
    uint32_t *columns = memory_calloc((size_t)x.size + y.size, sizeof(*columns)), *rows;
    if (!columns)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a picture of %u x %u", x.size, y.size);
    rows = columns + x.size;
    make_nearest(x, columns);
    make_nearest(y, rows);
    for (uint32_t i = 0; i < y.size; i++, rgb += pitch) {
        const uint8_t *row = image_row(image, rows[i]);
        if (copies)
            memcpy(rgb, row + (size_t)3 * columns[0], (size_t)3 * x.size);
        for (uint32_t j = 0; j < x.size && !copies; j++) {
            const uint8_t *pixel = row + (size_t)columns[j] * image->channels;
            if (image->cmyk)
                mix_inks(pixel, 1, rgb + 3 * j);
            else
                to_rgb(pixel, 1, image->channels, false, rgb + 3 * j);
        }
    }
    memory_free(columns);
    return VKCLIP_OK;
}

/* A resize in two passes, of which each rounds its results to 8 bits: first within rows, then
 * within columns, or in the other order. */
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
    uint8_t *window;          /* the rows of the picture that one row of the result needs */
};

/* Tells whether Pillow (13) resizes within columns first: where these lose more pixels than rows
 * do, counted twice. The order matters, because the first pass rounds. */
static bool is_columns_first(const struct resample_axis *x, const struct resample_axis *y)
{
    return y->out < y->in && (int64_t)y->in - y->out > 2 * ((int64_t)x->in - x->out);
}

/* Adds bytes to a block, and returns their place. */
static size_t add_bytes(size_t *total, size_t bytes)
{
    const size_t place = *total;
    *total += (bytes + 31) / 32 * 32;
    return place;
}

/* Where columns come first, `narrow` has RESAMPLE_ROWS rows of the result, and `copies` what
 * becomes of them. */
static bool open_resize(struct resize *resize, bool columns_first, struct scratch *scratch)
{
    const size_t used = resize->across.high - resize->across.low;
    const size_t rows = columns_first ? RESAMPLE_ROWS : resize->down.high - resize->down.low;
    size_t bytes = 0;
    resize->row_bytes = (size_t)resize->across.axis.size * resize->channels;
    resize->pitch = resize->row_bytes + RESAMPLE_SLACK;
    resize->copy_pitch = used * resize->image->channels + RESAMPLE_SLACK;
    const size_t across = add_bytes(&bytes, resample_bytes(&resize->across));
    const size_t down = add_bytes(&bytes, resample_bytes(&resize->down));
    const size_t narrow = add_bytes(&bytes, rows * resize->pitch);
    const size_t blended = add_bytes(&bytes, resize->pitch);
    const size_t copies = add_bytes(&bytes, RESAMPLE_ROWS * resize->copy_pitch);
    const size_t window =
        add_bytes(&bytes, columns_first ? resize->down.stride * resize->copy_pitch : 0);
    uint8_t *memory = scratch_reserve(scratch, bytes);
    if (!memory)
        return false;
    resample_fill(&resize->across, memory + across);
    resample_fill(&resize->down, memory + down);
    resize->narrow = memory + narrow;
    resize->blended = memory + blended;
    resize->window = memory + window;
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

/* Makes RGB of a row of the result. `row` may be `rgb` where it is RGB already. */
static void finish_row(const struct resize *resize, const uint8_t *row, uint8_t *rgb)
{
    const struct vkclip_image *image = resize->image;
    const bool multiplied = has_alpha(image) && !resize->rgb_first;
    const uint32_t size = resize->across.axis.size;
    if (image->cmyk && !resize->rgb_first)
        mix_inks(row, size, rgb);
    else if (resize->channels != 3)
        to_rgb(row, size, resize->channels, multiplied, rgb);
    else if (row != rgb)
        memcpy(rgb, row, resize->row_bytes);
}

static void resize_columns(const struct resize *resize, uint8_t *rgb, size_t pitch)
{
    const struct resample_taps *down = &resize->down;
    for (uint32_t i = 0; i < down->axis.size; i++, rgb += pitch) {
        uint8_t *row = resize->channels == 3 ? rgb : resize->blended;
        const uint8_t *rows = resize->narrow + (down->start[i] - down->low) * resize->pitch;
        resize->kernel->columns(rows, resize->pitch, down, i, resize->row_bytes, row);
        finish_row(resize, row, rgb);
    }
}

/* Blends the rows of the picture that row `i` of the result needs, within their columns that are
 * used. Rows whose colours have to be converted first are copied. */
static void blend_rows(const struct resize *resize, uint32_t i, uint8_t *blended)
{
    const struct vkclip_image *image = resize->image;
    const struct resample_taps *down = &resize->down;
    const uint32_t low = resize->across.low, used = resize->across.high - low;
    const bool converts = has_alpha(image) || (image->cmyk && resize->rgb_first);
    size_t pitch = image->stride ? image->stride : (size_t)image->width * image->channels;
    const uint8_t *rows = image_row(image, down->start[i]) + (size_t)low * image->channels;
    if (converts) {
        for (uint32_t k = 0; k < down->count[i]; k++)
            take_row(resize, down->start[i] + k, resize->window + k * resize->copy_pitch);
        rows = resize->window;
        pitch = resize->copy_pitch;
    }
    resize->kernel->columns(rows, pitch, down, i, (size_t)used * resize->channels, blended);
}

/* Resizes within columns first, then within rows. */
static void resize_columns_first(const struct resize *resize, uint8_t *rgb, size_t pitch)
{
    const uint32_t size = resize->down.axis.size;
    for (uint32_t first = 0; first < size; first += RESAMPLE_ROWS) {
        const uint8_t *in[RESAMPLE_ROWS];
        uint8_t *out[RESAMPLE_ROWS];
        for (uint32_t r = 0; r < RESAMPLE_ROWS; r++) {
            uint8_t *blended = resize->copies + r * resize->copy_pitch;
            blend_rows(resize, r < size - first ? first + r : size - 1, blended);
            in[r] = blended;
            out[r] = resize->narrow + r * resize->pitch;
        }
        resize->kernel->rows(in, &resize->across, resize->channels, out);
        for (uint32_t r = 0; r < RESAMPLE_ROWS && r < size - first; r++)
            finish_row(resize, out[r], rgb + (first + r) * pitch);
    }
}

static int resize_picture(const struct vkclip_image *image, struct resample_axis x,
                          struct resample_axis y, bool rgb_first, struct scratch *scratch,
                          uint8_t *rgb, size_t pitch)
{
    const bool drops = rgb_first && (has_alpha(image) || image->cmyk);
    struct scratch own = {0};
    struct resize resize = {.image = image,
                            .kernel = resample_fastest(),
                            .across = resample_measure(&x),
                            .down = resample_measure(&y),
                            .rgb_first = rgb_first,
                            .channels = image->channels - drops};
    const bool columns_first = is_columns_first(&x, &y);
    const bool good = open_resize(&resize, columns_first, scratch ? scratch : &own);
    if (good && columns_first) {
        resize_columns_first(&resize, rgb, pitch);
    } else if (good) {
        resize_rows(&resize);
        resize_columns(&resize, rgb, pitch);
    }
    scratch_free(&own);
    if (!good)
        return error_fail(VKCLIP_EMEMORY, "out of memory to resize a picture of %u x %u to %u x %u",
                          image->width, image->height, x.out, y.out);
    return VKCLIP_OK;
}

int image_check(const struct vkclip_image *image)
{
    if (!image || !image->pixels)
        return error_fail(VKCLIP_EINVALID, "no picture");
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
    return VKCLIP_OK;
}

static int check_arguments(const struct vkclip_image *image,
                           const struct image_transform *transform)
{
    if (!image || !image->pixels || !transform || !transform->size)
        return error_fail(VKCLIP_EINVALID, "no picture or no size to preprocess it to");
    return image_check(image);
}

/* Refuses a picture that has no pixel after the resize, or more across than an int counts. */
static int check_frame(const struct vkclip_image *image, const struct image_transform *transform,
                       struct frame frame)
{
    if (frame.width > INT_MAX || frame.height > INT_MAX)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "picture of %u x %u pixels is too thin: with the shorter side at %u, "
                          "the longer would pass %d",
                          image->width, image->height,
                          size_or(transform->resize.shortest, transform), INT_MAX);
    if (!frame.width || !frame.height)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "picture of %u x %u pixels is too thin: its shorter side would have no "
                          "pixel after the resize",
                          image->width, image->height);
    return VKCLIP_OK;
}

/* Fills the whole result where the picture will not cover it. */
static int fill_around(const struct vkclip_image *image, const struct image_transform *transform,
                       uint8_t *rgb)
{
    const size_t pixels = (size_t)transform->size * transform->size;
    uint8_t fill = transform->rgb_first ? 0 : transform->resize.fill;
    const uint8_t inks[4] = {fill, fill, fill, fill};
    uint8_t colour[3] = {fill, fill, fill};
    if (image->indexed && !transform->rgb_first)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "picture of %u x %u pixels: one with a palette cannot be padded",
                          image->width, image->height);
    if (image->cmyk && !transform->rgb_first)
        mix_inks(inks, 1, colour);
    for (size_t i = 0; i < pixels; i++)
        memcpy(rgb + 3 * i, colour, 3);
    return VKCLIP_OK;
}

int image_prepare(const struct vkclip_image *image, const struct image_transform *transform,
                  struct scratch *scratch, uint8_t *rgb)
{
    int error = check_arguments(image, transform);
    if (error)
        return error;
    const struct frame frame = find_frame(image, transform);
    error = check_frame(image, transform, frame);
    if (error)
        return error;
    const struct resample_axis x = make_axis(image->width, (uint32_t)frame.width, transform);
    const struct resample_axis y = make_axis(image->height, (uint32_t)frame.height, transform);
    const size_t pitch = (size_t)3 * transform->size;
    if (x.size < transform->size || y.size < transform->size) {
        error = fill_around(image, transform, rgb);
        if (error)
            return error;
        rgb += find_margin(&y, transform) * pitch + (size_t)3 * find_margin(&x, transform);
    }
    /* Pillow skips the pass along a side that stays as it is, which would change nothing. */
    const bool as_it_is = x.in == x.out && y.in == y.out;
    if (as_it_is || transform->resize.filter == FILTER_NEAREST ||
        (image->indexed && !transform->rgb_first))
        return pick(image, x, y, rgb, pitch);
    return resize_picture(image, x, y, transform->rgb_first, scratch, rgb, pitch);
}

/* Finds the begin and the length of an axis of the result in pixels of the picture. */
static void find_span(const struct resample_axis *axis, const struct image_transform *transform,
                      double *begin, double *length)
{
    const double scale = (double)axis->in / axis->out, first = axis->first;
    *begin = (first - find_margin(axis, transform)) * scale;
    *length = transform->size * scale;
}

int image_place(uint32_t width, uint32_t height, const struct image_transform *transform,
                struct image_placement *placement)
{
    const struct vkclip_image image = {
        .pixels = (const uint8_t *)"", .width = width, .height = height, .channels = 3};
    int error = check_arguments(&image, transform);
    const struct frame frame = error ? (struct frame){0} : find_frame(&image, transform);
    if (!error)
        error = check_frame(&image, transform, frame);
    if (error)
        return error;
    placement->x = make_axis(width, (uint32_t)frame.width, transform);
    placement->y = make_axis(height, (uint32_t)frame.height, transform);
    placement->columns_first = is_columns_first(&placement->x, &placement->y);
    placement->left = find_margin(&placement->x, transform);
    placement->top = find_margin(&placement->y, transform);
    placement->fill = transform->rgb_first ? 0 : transform->resize.fill;
    return VKCLIP_OK;
}

void image_find_nearest(const struct resample_axis *axis, uint32_t *positions)
{
    make_nearest(*axis, positions);
}

int image_find_view(uint32_t width, uint32_t height, const struct image_transform *transform,
                    struct image_view *view)
{
    struct image_placement placement;
    int error = image_place(width, height, transform, &placement);
    if (error)
        return error;
    find_span(&placement.x, transform, &view->left, &view->width);
    find_span(&placement.y, transform, &view->top, &view->height);
    return VKCLIP_OK;
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
    uint8_t *rgb = u8 ? u8 : memory_alloc(count * 3 + 1);
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
        memory_free(rgb);
    return error;
}

int image_resize(const struct vkclip_image *image, const struct image_transform *transform,
                 uint8_t *u8)
{
    struct image_transform squash = transform ? *transform : (struct image_transform){0};
    squash.resize = (struct image_resize){.fit = FIT_SQUASH};
    return image_prepare(image, transform ? &squash : NULL, NULL, u8);
}

void image_make_rgb(struct vkclip_image *image)
{
    if (!image->cmyk)
        return;
    mix_inks(image->pixels, (size_t)image->width * image->height, (uint8_t *)image->pixels);
    image->channels = 3;
    image->cmyk = false;
}
