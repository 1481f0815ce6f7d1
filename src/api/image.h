/* SPDX-License-Identifier: MIT
 *
 * What the public functions that decode pictures share.
 */
#ifndef VKCLIP_API_IMAGE_H
#define VKCLIP_API_IMAGE_H

#include "api/growth.h"
#include "image/decode.h"

/* Gives the defaults if `given` is NULL. */
static inline int image_read_options(const struct vkclip_image_params *given,
                                     struct image_options *options)
{
    struct vkclip_image_params params;
    const int error = GROWTH_READ(vkclip_image_params, &params, given);
    *options = (struct image_options){
        .max_pixels = params.max_pixels, .orient = params.orient, .least_side = params.least_side};
    return error;
}

#endif
