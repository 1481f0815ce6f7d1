/* SPDX-License-Identifier: MIT
 *
 * From picture files to the towers' input: decoding through stb_image, Pillow's antialiased bicubic
 * resize in its fixed-point arithmetic, centre crop, normalisation. The public vkclip_load_image,
 * vkclip_decode_image and vkclip_free_image are here too.
 */
#ifndef VKCLIP_IMAGE_PREPARE_H
#define VKCLIP_IMAGE_PREPARE_H

#include "vkclip.h"

struct image_transform {
    uint32_t size; /* S, pixels of the square output */
    float mean[3], std[3];
    bool rgb_first; /* to RGB before the resize and crop offset rounded down (Hugging Face);
                     * else in the file's mode, to RGB last, offset rounded half to even (OpenAI) */
};

/* Picture to RGB bytes [S,S,3] and normalised values [3,S,S]; either may be NULL. */
int image_preprocess(const struct vkclip_image *image, const struct image_transform *transform,
                     uint8_t *u8, float *pixel_values);
/* The whole picture to RGB bytes [S,S,3], width and height each by its own factor. */
int image_resize(const struct vkclip_image *image, const struct image_transform *transform,
                 uint8_t *u8);

#endif
