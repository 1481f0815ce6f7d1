/* SPDX-License-Identifier: MIT
 *
 * Says to which size a picture is resized, by which filter, and what is around it where it is then
 * smaller than the tower's pictures.
 */
#ifndef VKCLIP_IMAGE_RESIZE_H
#define VKCLIP_IMAGE_RESIZE_H

#include <stdint.h>

/* A picture keeps its proportions unless it is squashed. */
enum image_fit {
    FIT_SHORTEST, /* The shorter side becomes `shortest`. */
    FIT_SQUASH,   /* Both sides become what is asked for. */
    FIT_LONGEST,  /* The longer side becomes the size of the tower's pictures. */
    FIT_BETWEEN   /* The shorter side becomes `shortest`, or less, so that the longer one is at most
                   * `longest`. */
};

/* These are Pillow's filters. */
enum image_filter {
    FILTER_BICUBIC,
    FILTER_BILINEAR,
    FILTER_LANCZOS,
    FILTER_BOX,
    FILTER_HAMMING,
    FILTER_NEAREST
};

/* With all zeros the shorter side becomes the size of the tower's pictures, by the bicubic filter.
 */
struct image_resize {
    enum image_fit fit;
    enum image_filter filter;
    uint32_t width, height, shortest; /* 0: the size of the tower's pictures */
    uint32_t longest;                 /* of FIT_BETWEEN */
    uint8_t fill;                     /* value of every channel beside a smaller picture */
};

#endif
