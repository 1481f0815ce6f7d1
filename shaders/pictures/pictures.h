/* SPDX-License-Identifier: MIT
 *
 * The push constants of the ops that prepare pictures. C and GLSL include this file.
 */
#ifndef VKCLIP_PICTURES_H
#define VKCLIP_PICTURES_H

#ifdef __STDC__
#include <stdint.h>
#define uint uint32_t
#endif

/* Weights of RESAMPLE are in units of 2^-RESAMPLE_BITS. */
#define RESAMPLE_BITS 22

struct resample_args {
    uint rows, columns; /* of the result, in pixels */
    uint width, height; /* of x, in pixels */
    uint words;         /* of a row of x in bytes */
    uint taps;          /* pixels per sum */
};

struct frame_args {
    uint height, width; /* of x, in pixels */
    uint size, top, left, fill;
};

#ifdef __STDC__
#undef uint
#endif

#endif
