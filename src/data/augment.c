/* SPDX-License-Identifier: MIT
 *
 * A crop is a part of the picture. A crop that is rotated or reaches over the edges is first drawn
 * as a picture of the same scale, which needs no filter. Then one exact resize makes the crop S x
 * S. Colours are changed as torchvision's ColorJitter does, but in floats instead of rounded bytes.
 */
#include "data/augment.h"
#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

enum { HUE = 3 }; /* index among brightness, contrast, saturation, hue */

static const float grey_weights[3] = {0.299f, 0.587f, 0.114f};

static bool is_range(const double range[2], double least, double most)
{
    return range[0] >= least && range[0] <= range[1] && range[1] <= most;
}

int augment_check(const struct vkclip_augmentation *params)
{
    static const char *const names[] = {"brightness", "contrast", "saturation", "hue"};
    bool scale = params->scale[0] || params->scale[1], ratio = params->ratio[0] || params->ratio[1];
    if (scale && !is_range(params->scale, 1e-4, 4))
        return error_fail(VKCLIP_EINVALID,
                          "`augmentation.scale`: scale %g to %g, expected areas of the crop from "
                          "0.0001 to 4, the lower "
                          "first",
                          params->scale[0], params->scale[1]);
    if (ratio && !is_range(params->ratio, 0.01, 100))
        return error_fail(VKCLIP_EINVALID,
                          "`augmentation.ratio`: ratio %g to %g, expected widths by heights from "
                          "0.01 to 100, the lower "
                          "first",
                          params->ratio[0], params->ratio[1]);
    if (!(params->rotate >= 0 && params->rotate <= 180))
        return error_fail(VKCLIP_EINVALID,
                          "`augmentation.rotate`: rotation by %g, expected 0 to 180 degrees",
                          params->rotate);
    for (unsigned i = 0; i < 4; i++)
        if (!(params->color_jitter[i] >= 0 && params->color_jitter[i] <= (i == HUE ? 0.5 : 1)))
            return error_fail(VKCLIP_EINVALID,
                              "`augmentation.color_jitter`: %s %g, expected 0 to %g", names[i],
                              params->color_jitter[i], i == HUE ? 0.5 : 1.0);
    if (!(params->color_jitter_prob >= 0 && params->color_jitter_prob <= 1) ||
        !(params->gray_scale_prob >= 0 && params->gray_scale_prob <= 1))
        return error_fail(VKCLIP_EINVALID,
                          "`augmentation.color_jitter_prob` and `augmentation.gray_scale_prob`: "
                          "probabilities %g of color jitter and %g of gray scale, expected 0 to 1",
                          params->color_jitter_prob, params->gray_scale_prob);
    if (!(params->channel_gain >= 0 && params->channel_gain <= 1))
        return error_fail(VKCLIP_EINVALID,
                          "`augmentation.channel_gain`: channel gain %g, expected 0 to 1",
                          params->channel_gain);
    return VKCLIP_OK;
}

/* ---- The crop -------------------------------------------------------------------------------- */

/* A crop is given in pixels of the picture, over whose edges it may reach. It is rotated about its
 * centre. */
struct crop {
    int64_t x, y, width, height;
    double radians;
};

/* Chooses where a part begins that lies within the whole, or that contains the whole if the part is
 * larger.
 */
static int64_t choose_place(struct rng *rng, int64_t whole, int64_t part)
{
    const int64_t room = whole - part;
    if (room < 0)
        return room + (int64_t)rng_below(rng, (uint64_t)(1 - room));
    return (int64_t)rng_below(rng, (uint64_t)(1 + room));
}

/* Returns the largest crop of an allowed ratio from the middle of the picture. */
static struct crop centre_crop(int64_t width, int64_t height, const double ratio[2])
{
    struct crop crop = {.width = width, .height = height};
    if ((double)width < ratio[0] * (double)height)
        crop.height = llrint((double)width / ratio[0]);
    else if ((double)width > ratio[1] * (double)height)
        crop.width = llrint((double)height * ratio[1]);
    crop.width = crop.width > 0 ? crop.width : 1;
    crop.height = crop.height > 0 ? crop.height : 1;
    crop.x = (width - crop.width) / 2;
    crop.y = (height - crop.height) / 2;
    return crop;
}

/* Chooses a crop as torchvision's RandomResizedCrop.get_params does: ten tries, then the centre. */
static struct crop choose_crop(const struct vkclip_augmentation *params,
                               const struct vkclip_image *image, struct rng *rng)
{
    static const double default_scale[2] = {0.9, 1}, default_ratio[2] = {3.0 / 4, 4.0 / 3};
    const double *scale = params->scale[1] ? params->scale : default_scale;
    const double *ratio = params->ratio[1] ? params->ratio : default_ratio;
    const int64_t width = image->width, height = image->height;
    struct crop crop = {0};
    for (int i = 0; i < 10; i++) {
        double area = (double)width * (double)height * rng_between(rng, scale[0], scale[1]);
        double aspect = exp(rng_between(rng, log(ratio[0]), log(ratio[1])));
        crop.width = llrint(sqrt(area * aspect));
        crop.height = llrint(sqrt(area / aspect));
        bool fits = (crop.width <= width && crop.height <= height) || scale[1] > 1;
        if (crop.width < 1 || crop.height < 1 || !fits)
            continue;
        crop.x = choose_place(rng, width, crop.width);
        crop.y = choose_place(rng, height, crop.height);
        return crop;
    }
    return centre_crop(width, height, ratio);
}

static size_t row_stride(const struct vkclip_image *image)
{
    return image->stride ? image->stride : (size_t)image->width * image->channels;
}

/* Interpolates between four pixels. Where the picture has no pixel, `fill` replaces it. */
static void sample(const struct vkclip_image *image, double x, double y, const uint8_t fill[4],
                   unsigned channels, uint8_t out[4])
{
    double left = floor(x), top = floor(y);
    float across = (float)(x - left), down = (float)(y - top), sums[4] = {0};
    for (int i = 0; i < 4; i++) {
        double column = left + (i & 1), row = top + (i >> 1);
        float weight = (i & 1 ? across : 1 - across) * (i >> 1 ? down : 1 - down);
        bool inside = column >= 0 && row >= 0 && column < image->width && row < image->height;
        const uint8_t *pixel = fill;
        if (inside)
            pixel =
                image->pixels + (size_t)row * row_stride(image) + (size_t)column * image->channels;
        for (unsigned c = 0; c < channels; c++)
            sums[c] += weight * pixel[inside && image->channels < 3 ? 0 : c];
    }
    for (unsigned c = 0; c < channels; c++)
        out[c] = (uint8_t)(sums[c] + 0.5f);
}

/* Draws the crop as a separate picture of the same scale, of RGB or of inks. */
static int draw_crop(const struct vkclip_image *image, const struct crop *crop,
                     const uint8_t fill[4], unsigned channels, uint8_t **pixels)
{
    const size_t width = (size_t)crop->width, height = (size_t)crop->height;
    uint8_t *out = *pixels = memory_alloc(width * height * channels);
    if (!out)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a crop of %zu x %zu", width, height);
    const double cosine = cos(crop->radians), sine = sin(crop->radians);
    const double half_x = (double)width / 2, half_y = (double)height / 2;
    for (size_t i = 0; i < height; i++)
        for (size_t j = 0; j < width; j++, out += channels) {
            double x = (double)j + 0.5 - half_x, y = (double)i + 0.5 - half_y;
            sample(image, (double)crop->x + half_x + cosine * x - sine * y - 0.5,
                   (double)crop->y + half_y + sine * x + cosine * y - 0.5, fill, channels, out);
        }
    return VKCLIP_OK;
}

/* Chooses the colour that is drawn outside the picture: RGB, or the inks that make it without
 * black. */
static void choose_fill(const struct vkclip_augmentation *params,
                        const struct image_transform *transform, bool inks, uint8_t fill[4])
{
    for (unsigned c = 0; c < 3; c++) {
        const float mean = fmaxf(0, fminf(255, transform->mean[c] * 255 + 0.5f));
        const uint8_t colour = params->fill_mean ? (uint8_t)mean : 255;
        fill[c] = inks ? (uint8_t)(255 - colour) : colour;
    }
    fill[3] = 0;
}

static int crop_and_resize(const struct vkclip_augmentation *params,
                           const struct image_transform *transform,
                           const struct vkclip_image *image, struct rng *rng, uint8_t *rgb)
{
    struct crop crop = choose_crop(params, image, rng);
    crop.radians =
        rng_between(rng, -params->rotate, params->rotate) * (3.14159265358979323846 / 180);
    const bool inside = crop.x >= 0 && crop.y >= 0 && crop.x + crop.width <= image->width &&
                        crop.y + crop.height <= image->height;
    struct vkclip_image part = *image;
    part.width = (uint32_t)crop.width;
    part.height = (uint32_t)crop.height;
    if (inside && params->rotate == 0) {
        part.stride = row_stride(image);
        part.pixels += (size_t)crop.y * part.stride + (size_t)crop.x * part.channels;
        return image_resize(&part, transform, rgb);
    }
    uint8_t *drawn = NULL, fill[4];
    choose_fill(params, transform, image->cmyk, fill);
    part.channels = image->cmyk ? 4 : 3;
    int error = draw_crop(image, &crop, fill, part.channels, &drawn);
    part.pixels = drawn;
    part.stride = 0;
    part.indexed = false;
    if (!error)
        error = image_resize(&part, transform, rgb);
    memory_free(drawn);
    return error;
}

/* ---- Colours --------------------------------------------------------------------------------- */

/* These are the colours of a picture, one plane per channel. */
struct planes {
    float *values; /* [3,count], 0 to 1 */
    size_t count;
};

static float clamp(float value)
{
    if (value < 0)
        return 0;
    return value > 1 ? 1 : value;
}

static float pixel_grey(const struct planes *planes, size_t i)
{
    float sum = 0;
    for (unsigned c = 0; c < 3; c++)
        sum += grey_weights[c] * planes->values[c * planes->count + i];
    return sum;
}

/* Brightness, contrast and saturation move every value away from a reference value (with a factor
 * above 1) or towards it. The reference is black for brightness, the mean grey of the picture for
 * contrast, and the grey of the pixel for saturation. */
static void change_brightness(const struct planes *planes, float factor)
{
    for (size_t i = 0; i < 3 * planes->count; i++)
        planes->values[i] = clamp(planes->values[i] * factor);
}

static void change_contrast(const struct planes *planes, float factor)
{
    double sum = 0;
    for (size_t i = 0; i < planes->count; i++)
        sum += pixel_grey(planes, i);
    float mean = (float)(sum / (double)planes->count);
    for (size_t i = 0; i < 3 * planes->count; i++)
        planes->values[i] = clamp(mean + (planes->values[i] - mean) * factor);
}

static void change_saturation(const struct planes *planes, float factor)
{
    for (size_t i = 0; i < planes->count; i++) {
        float grey = pixel_grey(planes, i);
        for (unsigned c = 0; c < 3; c++) {
            float *value = &planes->values[c * planes->count + i];
            *value = clamp(grey + (*value - grey) * factor);
        }
    }
}

/* Turns the hue of HSV by `turn` of a full circle. Saturation and value stay as they are. */
static void change_hue(const struct planes *planes, float turn)
{
    for (size_t i = 0; i < planes->count; i++) {
        float *values = planes->values + i, rgb[3];
        for (unsigned c = 0; c < 3; c++)
            rgb[c] = values[c * planes->count];
        float high = fmaxf(rgb[0], fmaxf(rgb[1], rgb[2]));
        float spread = high - fminf(rgb[0], fminf(rgb[1], rgb[2]));
        if (spread <= 0)
            continue;
        unsigned top = 0; /* the first channel with the highest value */
        while (top < 2 && rgb[top] != high)
            top++;
        float hue = (rgb[(top + 1) % 3] - rgb[(top + 2) % 3]) / spread + 2 * (float)top + 6 * turn;
        for (unsigned c = 0; c < 3; c++) {
            /* The distance of the hue from that of the channel is 0 to 3 sixths of the circle. */
            float distance = fabsf(remainderf(hue - 2 * (float)c, 6));
            values[c * planes->count] = high - spread * clamp(distance - 1);
        }
    }
}

static void jitter_colors(const struct vkclip_augmentation *params, const struct planes *planes,
                          struct rng *rng)
{
    static void (*const changes[])(const struct planes *, float) = {
        change_brightness, change_contrast, change_saturation, [HUE] = change_hue};
    const double *jitter = params->color_jitter;
    if (jitter[0] + jitter[1] + jitter[2] + jitter[3] <= 0 ||
        (params->color_jitter_prob > 0 && rng_between(rng, 0, 1) >= params->color_jitter_prob))
        return;
    unsigned order[] = {0, 1, 2, 3};
    for (unsigned left = 4; left > 0; left--) {
        const uint64_t chosen = rng_below(rng, left);
        const unsigned change = order[chosen];
        order[chosen] = order[left - 1];
        const double middle = change == HUE ? 0 : 1;
        const float factor =
            (float)rng_between(rng, middle - jitter[change], middle + jitter[change]);
        if (jitter[change] > 0)
            changes[change](planes, factor);
    }
}

static void change_colors(const struct vkclip_augmentation *params, const struct planes *planes,
                          struct rng *rng)
{
    for (unsigned c = 0; params->channel_gain > 0 && c < 3; c++) {
        struct planes plane = {planes->values + c * planes->count, planes->count};
        float gain = (float)rng_between(rng, 1 - params->channel_gain, 1 + params->channel_gain);
        for (size_t i = 0; i < plane.count; i++)
            plane.values[i] = clamp(plane.values[i] * gain);
    }
    jitter_colors(params, planes, rng);
    if (params->gray_scale_prob > 0 && rng_between(rng, 0, 1) < params->gray_scale_prob)
        change_saturation(planes, 0);
}

/* Converts bytes [S,S,3] to normalised values [3,S,S]. */
static void finish_values(const struct vkclip_augmentation *params,
                          const struct image_transform *transform, const uint8_t *rgb,
                          struct rng *rng, const struct planes *planes)
{
    for (size_t i = 0; i < 3 * planes->count; i++)
        planes->values[i % 3 * planes->count + i / 3] = (float)rgb[i] / 255.0f;
    change_colors(params, planes, rng);
    for (unsigned c = 0; c < 3; c++)
        for (size_t i = 0; i < planes->count; i++) {
            float *value = &planes->values[c * planes->count + i];
            *value = (*value - transform->mean[c]) / transform->std[c];
        }
}

int augment_image(const struct vkclip_augmentation *params, const struct image_transform *transform,
                  const struct vkclip_image *image, struct rng *rng, float *pixel_values)
{
    if (params->off)
        return image_preprocess(image, transform, NULL, pixel_values);
    const struct planes planes = {pixel_values, (size_t)transform->size * transform->size};
    uint8_t *rgb = memory_alloc(planes.count * 3);
    if (!rgb)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a picture of %u x %u", transform->size,
                          transform->size);
    int error = crop_and_resize(params, transform, image, rng, rgb);
    if (!error)
        finish_values(params, transform, rgb, rng, &planes);
    memory_free(rgb);
    return error;
}
