/* SPDX-License-Identifier: MIT
 *
 * Encodes pictures of the application that lie on its own device.
 */
#ifndef VKCLIP_ENCODE_RENDERS_H
#define VKCLIP_ENCODE_RENDERS_H

#include "encode/model.h"

/* Encodes the images, or the buffers if `images` is NULL. */
int renders_encode(struct vkclip_model *model, const struct vkclip_vulkan_image *images,
                   const struct vkclip_vulkan_buffer *buffers, size_t count,
                   const struct vkclip_encode_params *params, float *embeds);

#endif
