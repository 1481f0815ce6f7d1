/* SPDX-License-Identifier: MIT
 *
 * Diagrams as SVG: only plain shapes and text, which every browser and editor shows in the same
 * way.
 */
#ifndef VKCLIP_CLI_SVG_H
#define VKCLIP_CLI_SVG_H

#include <stdio.h>

/* Two colours that people with colour blindness can tell apart. */
#define CLI_SVG_BLUE "#0072b2"
#define CLI_SVG_RED "#d55e00"

/* A rectangle of the picture, in pixels, and the values at its edges: `low` to `high` from left to
 * right, 0 to `most` upwards with lines at multiples of `step`. */
struct cli_svg_panel {
    FILE *file;
    int left, right, top, bottom;
    double low, high, most, step;
};

void cli_svg_begin(FILE *file, int width, int height, int left, const char *title,
                   const char *subtitle);
void cli_svg_end(FILE *file);
/* Writes any text, escaped. */
void cli_svg_text(FILE *file, const char *text);
/* Returns the step, 1, 2 or 5 times a power of ten, that divides `value` into four to ten parts. */
double cli_svg_step(double value);

/* Sets `most` and `step` so that `value` has room. */
void cli_svg_fit(struct cli_svg_panel *panel, double value);
double cli_svg_x(const struct cli_svg_panel *panel, double value);
double cli_svg_y(const struct cli_svg_panel *panel, double value);
/* Draws lines with their values, and the names of both axes. */
void cli_svg_grid(const struct cli_svg_panel *panel, const char *across, const char *up);
/* Draws a mark with a number below the panel. */
void cli_svg_tick(const struct cli_svg_panel *panel, double value, double shown);

#endif
