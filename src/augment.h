/* SPDX-License-Identifier: MIT
 *
 * From a decoded picture to a training input: OpenCLIP's transform, a random resized crop
 * (Pillow's antialiased bicubic), colours, normalisation. Random numbers are the caller's.
 */
#ifndef VKCLIP_AUGMENT_H
#define VKCLIP_AUGMENT_H

#include "image.h"
#include "rng.h"

/* Zero is the default. */
struct augment_params {
    bool off;        /* as at inference: image_preprocess */
    double scale[2]; /* the crop's area as part of the picture's; both 0: 0.9 to 1. Where the
                      * second is above 1, crops may reach over the picture's edges */
    double ratio[2]; /* the crop's width by its height; both 0: 3/4 to 4/3 */
    double rotate;   /* the crop is turned by up to so many degrees either way */
    bool fill_mean;  /* outside the picture is the mean colour, not white */
    /* Brightness, contrast, saturation, hue (0 to 0.5): factors 1 - x to 1 + x, in random order;
     * hue is turned by up to x of the circle. */
    double color_jitter[4];
    double color_jitter_prob; /* of the four together; 0: always */
    double gray_scale_prob;
    double channel_gain; /* red, green, blue by factors 1 - x to 1 + x each */
};

/* Whether the values make sense; messages call them by OpenCLIP's names. */
int augment_check(const struct augment_params *params);

/* Picture to values [3,S,S]. */
int augment_image(const struct augment_params *params, const struct image_transform *transform,
                  const struct vkclip_image *image, struct rng *rng, float *pixel_values);

#endif
