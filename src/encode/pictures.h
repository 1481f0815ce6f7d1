/* SPDX-License-Identifier: MIT
 *
 * The one road of pictures: whatever they come from, they are prepared on the library's threads
 * while the devices compute the pictures before them.
 */
#ifndef VKCLIP_ENCODE_PICTURES_H
#define VKCLIP_ENCODE_PICTURES_H

#include "encode/model.h"

/* Where a call's pictures come from: exactly one member is set. */
struct pictures {
    const char *const *paths;
    const struct vkclip_image *images;
    const float *pixels; /* [N,3,S,S] */
    vkclip_source_fn *source;
};

/* As vkclip_encode_files. */
int pictures_encode(struct vkclip_model *model, const struct pictures *pictures, size_t count,
                    const struct vkclip_encode_params *params, float *embeds);

/* As vkclip_preprocess. */
int pictures_preprocess(const struct vkclip_model *model, const struct vkclip_image *image,
                        uint8_t *u8, float *pixel_values);

#endif
