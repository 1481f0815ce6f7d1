/* SPDX-License-Identifier: MIT
 *
 * Items per second over batch size as an SVG picture: one line per tower, batch sizes on a
 * logarithmic axis.
 */
#include "cli/commands/bench.h"
#include "base/error.h"
#include "base/file.h"
#include "cli/svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 720, HEIGHT = 420, LEFT = 72, RIGHT = 104, TOP = 64, BOTTOM = 56 };

static double batch_x(const struct cli_svg_panel *panel, uint32_t batch)
{
    return cli_svg_x(panel, log2(batch));
}

static void draw_axes(const struct cli_svg_panel *panel, const struct bench *bench)
{
    cli_svg_grid(panel, "batch size", "items per second");
    for (size_t i = 0; i < bench->count; i++) {
        const uint32_t batch = bench->rows[i].batch;
        size_t first = 0; /* Several towers have the same batch size, which gets one mark. */
        while (bench->rows[first].batch != batch)
            first++;
        if (first == i)
            cli_svg_tick(panel, log2(batch), batch);
    }
}

static int compare_batches(const void *a, const void *b)
{
    const struct bench_row *x = a, *y = b;
    return x->batch < y->batch ? -1 : x->batch > y->batch;
}

/* Draws the tower's line with a dot per batch size, bars over the middle half of the runs, and the
 * tower's name at the end. */
static void draw_tower(const struct cli_svg_panel *panel, const struct bench_row *rows,
                       size_t count, const char *colour)
{
    FILE *file = panel->file;
    fprintf(file, "<polyline fill='none' stroke='%s' stroke-width='2' points='", colour);
    for (size_t i = 0; i < count; i++)
        fprintf(file, "%s%.1f,%.1f", i ? " " : "", batch_x(panel, rows[i].batch),
                cli_svg_y(panel, rows[i].batch / rows[i].seconds));
    fputs("'/>\n", file);
    for (size_t i = 0; i < count; i++) {
        const struct bench_row *row = &rows[i];
        const double x = batch_x(panel, row->batch),
                     y = cli_svg_y(panel, row->batch / row->seconds);
        fprintf(file,
                "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s'/>\n"
                "<circle cx='%.1f' cy='%.1f' r='3.5' fill='%s'><title>batch %u: %.4g items/s"
                "</title></circle>\n",
                x, cli_svg_y(panel, row->batch / row->low), x,
                cli_svg_y(panel, row->batch / row->high), colour, x, y, colour, row->batch,
                row->batch / row->seconds);
    }
    const struct bench_row *last = &rows[count - 1];
    fprintf(file, "<text x='%.1f' y='%.1f' fill='%s' font-weight='bold'>%s %.3g</text>\n",
            batch_x(panel, last->batch) + 10, cli_svg_y(panel, last->batch / last->seconds) + 4,
            colour, bench_tower_name(last->tower), last->batch / last->seconds);
}

static void draw(FILE *file, const char *model, const struct bench *bench)
{
    static const char *const colours[] = {CLI_SVG_BLUE, CLI_SVG_RED};
    struct bench_row rows[2 * BENCH_BATCHES];
    struct cli_svg_panel panel = {.file = file,
                                  .left = LEFT,
                                  .right = WIDTH - RIGHT,
                                  .top = TOP,
                                  .bottom = HEIGHT - BOTTOM,
                                  .low = INFINITY,
                                  .high = -INFINITY};
    double most = 0;
    memcpy(rows, bench->rows, bench->count * sizeof(*rows));
    for (size_t i = 0; i < bench->count; i++) {
        panel.low = fmin(panel.low, log2(rows[i].batch));
        panel.high = fmax(panel.high, log2(rows[i].batch));
        most = fmax(most, rows[i].batch / rows[i].low);
    }
    cli_svg_fit(&panel, most);
    cli_svg_begin(file, WIDTH, HEIGHT, LEFT, model, bench->device.name);
    draw_axes(&panel, bench);
    for (size_t first = 0, end; first < bench->count; first = end) {
        end = first;
        while (end < bench->count && rows[end].tower == rows[first].tower)
            end++;
        qsort(&rows[first], end - first, sizeof(*rows), compare_batches);
        draw_tower(&panel, &rows[first], end - first, colours[rows[first].tower]);
    }
    cli_svg_end(file);
}

bool bench_write_svg(const struct bench_options *options, const struct bench *bench)
{
    struct file_output output;
    int error = file_output_open(options->svg, &output);
    if (!error)
        draw(output.file, options->model.path, bench);
    if (!error && ferror(output.file))
        error = file_fail_writing(options->svg);
    return !file_output_close(&output, error);
}
