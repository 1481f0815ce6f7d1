/* SPDX-License-Identifier: MIT
 *
 * What the public functions that decode pictures share.
 */
#ifndef VKCLIP_API_IMAGE_H
#define VKCLIP_API_IMAGE_H

#include "image/decode.h"

/* Returns the defaults if `params` is NULL. */
static inline struct image_options image_options_from(const struct vkclip_image_params *params)
{
    struct image_options options = {0};
    if (params) {
        options.max_pixels = params->max_pixels;
        options.orient = params->orient;
        options.least_side = params->least_side;
    }
    return options;
}

#endif
