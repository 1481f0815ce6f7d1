/* SPDX-License-Identifier: MIT
 *
 * Compares the embeddings of two models.
 */
#ifndef VKCLIP_ENCODE_COMPARE_H
#define VKCLIP_ENCODE_COMPARE_H

#include "encode/model.h"

/* Opens two models and tells how far the embeddings of the same inputs differ between them. */
int compare_models(struct vkclip_device *device, const char *path,
                   const struct vkclip_model_params *params, const char *other,
                   const struct vkclip_model_params *other_params,
                   struct vkclip_comparison *comparison);

#endif
