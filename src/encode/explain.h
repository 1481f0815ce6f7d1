/* SPDX-License-Identifier: MIT
 *
 * Tells which parts of a picture speak for texts (grad_relevance in graph/grad.h).
 */
#ifndef VKCLIP_ENCODE_EXPLAIN_H
#define VKCLIP_ENCODE_EXPLAIN_H

#include "encode/model.h"

/* Computes the relevance [M,side,side] of the patches of a picture for M normalised embeddings, and
 * the cosine of each with the picture's; `cosines` may be NULL. 0 layers stand for all. */
int explain_picture(struct vkclip_model *model, const struct vkclip_image *image,
                    const float *embeds, size_t count, uint32_t layers, float *relevance,
                    float *cosines);
/* Returns the patches per side of a model's pictures. */
static inline uint32_t explain_side(const struct config *config)
{
    return config->image_size / config->patch_size;
}

#endif
