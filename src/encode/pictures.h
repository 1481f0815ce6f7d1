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
    /* Prepares item number `index` as RGB bytes [S,S,3], as a vkclip_source_fn gives values. */
    int (*prepare)(void *user, size_t index, struct replica_memory *memory, uint8_t *rgb);
};

/* Reads, prepares and encodes pictures on all GPUs of the model's device: embeds [N,D]. */
int pictures_encode(struct vkclip_model *model, const struct pictures *pictures, size_t count,
                    const struct vkclip_encode_params *params, float *embeds);

/* Prepares one picture as the model takes it: bytes after the crop, values after normalising;
 * either result may be NULL. */
int pictures_preprocess(const struct vkclip_model *model, const struct vkclip_image *image,
                        uint8_t *u8, float *pixel_values);

#endif
