/* SPDX-License-Identifier: MIT
 *
 * Draws over a picture how relevant its parts are.
 */
#ifndef VKCLIP_CLI_COMMANDS_HEAT_H
#define VKCLIP_CLI_COMMANDS_HEAT_H

#include "vkclip.h"

enum heat_colours { HEAT_VIRIDIS, HEAT_MAGMA, HEAT_GREY };

/* Says what is drawn. */
struct heat {
    const struct vkclip_image *image;
    struct vkclip_grid grid;
    const float *relevance; /* [side,side] */
    enum heat_colours colours;
    double alpha; /* share of the colours beside the picture's grey, from 0 to 1 */
};

/* Draws the picture [height,width,3]. Values between the middles of patches are interpolated, and
 * the largest value has the last colour. What the tower did not see stays dark and without colour.
 */
void heat_draw(const struct heat *heat, uint8_t *pixels);

#endif
