/* SPDX-License-Identifier: MIT
 *
 * Draws the axes, grids and texts of diagrams.
 */
#include "cli/svg.h"

#include <math.h>

void cli_svg_text(FILE *file, const char *text)
{
    for (; *text; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", file);
            break;
        case '&':
            fputs("&amp;", file);
            break;
        default:
            fputc((unsigned char)*text < ' ' ? ' ' : *text, file);
        }
}

void cli_svg_begin(FILE *file, int width, int height, int left, const char *title,
                   const char *subtitle)
{
    fprintf(file,
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d' height='%d' "
            "font-family='sans-serif' font-size='13' fill='#222'>\n"
            "<rect width='%d' height='%d' fill='white'/>\n<text x='%d' y='26' font-size='16'>",
            width, height, width, height, width, height, left);
    cli_svg_text(file, title);
    fprintf(file, "</text>\n<text x='%d' y='46' fill='#666'>", left);
    cli_svg_text(file, subtitle);
    fputs("</text>\n", file);
}

void cli_svg_end(FILE *file)
{
    fputs("</svg>\n", file);
}

double cli_svg_step(double value)
{
    const double power = pow(10, floor(log10(value / 4)));
    const double rest = value / 4 / power;
    if (rest >= 5)
        return 5 * power;
    return rest >= 2 ? 2 * power : power;
}

void cli_svg_fit(struct cli_svg_panel *panel, double value)
{
    panel->step = cli_svg_step(value > 0 ? value : 1);
    panel->most = ceil((value > 0 ? value : 1) / panel->step) * panel->step;
}

double cli_svg_x(const struct cli_svg_panel *panel, double value)
{
    const double span = panel->high - panel->low;
    const double share = span > 0 ? (value - panel->low) / span : 0.5;
    return panel->left + share * (panel->right - panel->left);
}

double cli_svg_y(const struct cli_svg_panel *panel, double value)
{
    return panel->bottom - value / panel->most * (panel->bottom - panel->top);
}

void cli_svg_tick(const struct cli_svg_panel *panel, double value, double shown)
{
    const double x = cli_svg_x(panel, value);
    fprintf(panel->file,
            "<line x1='%.1f' y1='%d' x2='%.1f' y2='%d' stroke='#555'/>\n"
            "<text x='%.1f' y='%d' text-anchor='middle'>%.15g</text>\n",
            x, panel->bottom, x, panel->bottom + 5, x, panel->bottom + 20, shown);
}

void cli_svg_grid(const struct cli_svg_panel *panel, const char *across, const char *up)
{
    FILE *file = panel->file;
    const int middle = (panel->top + panel->bottom) / 2;
    for (int i = 0; i * panel->step <= panel->most * 1.0001; i++) {
        const double y = cli_svg_y(panel, i * panel->step);
        fprintf(file,
                "<line x1='%d' y1='%.1f' x2='%d' y2='%.1f' stroke='%s'/>\n"
                "<text x='%d' y='%.1f' text-anchor='end'>%g</text>\n",
                panel->left, y, panel->right, y, i ? "#e4e4e4" : "#555", panel->left - 8, y + 4,
                i * panel->step);
    }
    fprintf(file, "<text x='%d' y='%d' text-anchor='middle'>", (panel->left + panel->right) / 2,
            panel->bottom + 44);
    cli_svg_text(file, across);
    fprintf(file,
            "</text>\n<text x='20' y='%d' text-anchor='middle' transform='rotate(-90 20 %d)'>",
            middle, middle);
    cli_svg_text(file, up);
    fputs("</text>\n", file);
}
