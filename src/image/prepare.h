/* SPDX-License-Identifier: MIT
 *
 * Turns decoded pixels into the towers' input: Pillow's antialiased resize in its fixed-point
 * arithmetic, centre crop, normalisation.
 */
#ifndef VKCLIP_IMAGE_PREPARE_H
#define VKCLIP_IMAGE_PREPARE_H

#include "base/scratch.h"
#include "image/resample.h"
#include "vkclip.h"

struct image_transform {
    uint32_t size; /* S, pixels of the square output */
    float mean[3], std[3];
    /* True is Hugging Face's order: convert to RGB, resize, crop at an offset that is rounded down.
     * False is OpenAI's order: resize in the file's mode, crop at an offset that is rounded half to
     * even, convert to RGB. */
    bool rgb_first;
    struct image_resize resize;
};

/* Prepares a picture as RGB bytes [S,S,3]. `scratch` has memory that is used meanwhile, and may be
 * NULL. */
int image_prepare(const struct vkclip_image *image, const struct image_transform *transform,
                  struct scratch *scratch, uint8_t *rgb);
/* Gives the normalised value of each byte of each colour. */
void image_normalised(const struct image_transform *transform, float values[3][256]);
/* Prepares a picture as RGB bytes [S,S,3] and normalised values [3,S,S], either of which may be
 * NULL. */
int image_preprocess(const struct vkclip_image *image, const struct image_transform *transform,
                     uint8_t *u8, float *pixel_values);
/* Resizes the whole picture by the bicubic filter to RGB bytes [S,S,3], where width and height may
 * change by different factors. */
int image_resize(const struct vkclip_image *image, const struct image_transform *transform,
                 uint8_t *u8);
/* How a picture without alpha becomes the S x S pixels of a result: the resize and the crop of each
 * axis, the order of the two, and where the rest lies in the result. */
struct image_placement {
    struct resample_axis x, y;
    bool columns_first;
    uint32_t left, top; /* pixels of the result before the picture */
    uint8_t fill;       /* level of the pixels around it */
};
int image_place(uint32_t width, uint32_t height, const struct image_transform *transform,
                struct image_placement *placement);
/* Finds the nearest pixel [size] of each one that the axis keeps, for FILTER_NEAREST. */
void image_find_nearest(const struct resample_axis *axis, uint32_t *positions);
/* The rectangle of a picture that becomes the S x S pixels of a result, in pixels of the picture.
 * It reaches beyond the picture where that is smaller than the result after the resize. */
struct image_view {
    double left, top, width, height;
};
int image_find_view(uint32_t width, uint32_t height, const struct image_transform *transform,
                    struct image_view *view);
/* Refuses pictures of a caller that are none: without pixels, with other channels, with short rows.
 */
int image_check(const struct vkclip_image *image);
/* Converts a decoded CMYK picture, whose rows have no padding, to RGB in its own memory. Does
 * nothing with other pictures. */
void image_make_rgb(struct vkclip_image *image);

#endif
