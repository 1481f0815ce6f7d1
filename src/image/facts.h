/* SPDX-License-Identifier: MIT
 *
 * What a picture file says of its picture.
 */
#ifndef VKCLIP_IMAGE_FACTS_H
#define VKCLIP_IMAGE_FACTS_H

#include <stdint.h>

/* This is what a file says of its picture besides the pixels. */
struct image_facts {
    const char *format;     /* such as "JPEG"; a static text */
    uint32_t width, height; /* as the picture is shown if it was oriented, and before scaling */
    uint32_t orientation;   /* EXIF's 1 to 8; 1 where the file does not say */
    int64_t taken;          /* seconds since 1970 in the camera's local time; INT64_MIN: unknown */
    char camera[96];        /* maker and model; "" where the file does not say */
    double latitude, longitude; /* degrees; NAN: unknown */
};

#endif
