/* SPDX-License-Identifier: MIT
 *
 * Colours of relevance. The maps rise evenly in lightness (Smith and van der Walt 2015), and are
 * interpolated between nine points.
 */
#include "cli/commands/heat.h"
#include "cli/picture.h"

#include <math.h>

enum { POINTS = 9 };

static const uint8_t maps[][POINTS][3] = {[HEAT_VIRIDIS] = {{68, 1, 84},
                                                            {71, 45, 123},
                                                            {59, 82, 139},
                                                            {44, 114, 142},
                                                            {33, 145, 140},
                                                            {40, 174, 128},
                                                            {94, 201, 98},
                                                            {173, 220, 48},
                                                            {253, 231, 37}},
                                          [HEAT_MAGMA] = {{0, 0, 4},
                                                          {29, 17, 71},
                                                          {81, 18, 124},
                                                          {130, 38, 129},
                                                          {183, 55, 121},
                                                          {231, 82, 99},
                                                          {252, 137, 97},
                                                          {254, 196, 136},
                                                          {252, 253, 191}},
                                          [HEAT_GREY] = {{0, 0, 0},
                                                         {32, 32, 32},
                                                         {64, 64, 64},
                                                         {96, 96, 96},
                                                         {128, 128, 128},
                                                         {159, 159, 159},
                                                         {191, 191, 191},
                                                         {223, 223, 223},
                                                         {255, 255, 255}}};

/* Finds the colour of a value from 0 to 1. */
static void find_colour(enum heat_colours colours, double value, double rgb[3])
{
    const double place = value * (POINTS - 1);
    const size_t first = place < POINTS - 2 ? (size_t)place : POINTS - 2;
    const double share = place - (double)first;
    for (size_t c = 0; c < 3; c++)
        rgb[c] = maps[colours][first][c] * (1 - share) + maps[colours][first + 1][c] * share;
}

static double find_largest(const struct heat *heat)
{
    double largest = 0;
    for (size_t i = 0; i < (size_t)heat->grid.side * heat->grid.side; i++)
        largest = fmax(largest, (double)heat->relevance[i]);
    return largest;
}

/* Finds the two patches of an axis whose middles a place lies between, and the share of the second.
 */
static void find_neighbours(double place, uint32_t side, uint32_t patches[2], double *share)
{
    const double inside = fmin(fmax(place - 0.5, 0), side - 1);
    patches[0] = (uint32_t)inside;
    patches[1] = patches[0] + 1 < side ? patches[0] + 1 : patches[0];
    *share = inside - patches[0];
}

/* Interpolates the relevance at a place in patches. */
static double interpolate(const struct heat *heat, double x, double y)
{
    const uint32_t side = heat->grid.side;
    uint32_t columns[2], rows[2];
    double across, down, sum = 0;
    find_neighbours(x, side, columns, &across);
    find_neighbours(y, side, rows, &down);
    for (int i = 0; i < 4; i++)
        sum += (double)heat->relevance[(size_t)rows[i / 2] * side + columns[i % 2]] *
               (i / 2 ? down : 1 - down) * (i % 2 ? across : 1 - across);
    return sum;
}

/* Draws a pixel, of which the relevance is a share of the largest. What is unseen is negative. */
static void draw_pixel(const struct heat *heat, uint32_t x, uint32_t y, double value,
                       uint8_t *pixel)
{
    uint32_t rgb[3];
    double colour[3] = {0, 0, 0};
    picture_read_pixel(heat->image, x, y, rgb);
    const double grey = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
    const double alpha = value < 0 ? 2.0 / 3 : heat->alpha;
    if (value >= 0)
        find_colour(heat->colours, value, colour);
    for (int c = 0; c < 3; c++)
        pixel[c] = (uint8_t)(grey * (1 - alpha) + colour[c] * alpha + 0.5);
}

void heat_draw(const struct heat *heat, uint8_t *pixels)
{
    const struct vkclip_grid *grid = &heat->grid;
    const double largest = find_largest(heat), scale = largest > 0 ? 1 / largest : 0;
    for (uint32_t y = 0; y < heat->image->height; y++)
        for (uint32_t x = 0; x < heat->image->width; x++, pixels += 3) {
            const double across = (x + 0.5 - grid->left) / grid->width * grid->side;
            const double down = (y + 0.5 - grid->top) / grid->height * grid->side;
            const bool seen = across >= 0 && across < grid->side && down >= 0 && down < grid->side;
            const double value = seen ? interpolate(heat, across, down) * scale : -1;
            draw_pixel(heat, x, y, value, pixels);
        }
}
