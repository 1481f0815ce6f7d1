/* SPDX-License-Identifier: MIT
 *
 * Encodes pictures of every origin in the same way: the library's threads prepare them while the
 * devices compute the pictures before them.
 */
#ifndef VKCLIP_ENCODE_PICTURES_H
#define VKCLIP_ENCODE_PICTURES_H

#include "encode/model.h"

/* Says where a call's pictures come from: exactly one member is set. */
struct pictures {
    const char *const *paths;
    const struct vkclip_image *images;
    const float *pixels; /* [N,3,S,S] */
    vkclip_source_fn *source;
};

/* Implements vkclip_encode_files and the functions for other origins of pictures. */
int pictures_encode(struct vkclip_model *model, const struct pictures *pictures, size_t count,
                    const struct vkclip_encode_params *params, float *embeds);

/* Implements vkclip_preprocess. */
int pictures_preprocess(const struct vkclip_model *model, const struct vkclip_image *image,
                        uint8_t *u8, float *pixel_values);

#endif
