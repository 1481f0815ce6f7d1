/* SPDX-License-Identifier: MIT
 *
 * Items a second over batch size as an SVG picture: a line a tower, batch sizes on a logarithmic
 * axis. Plain shapes and text, so that browsers, editors and forges show it alike.
 */
#include "cli_bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 720, HEIGHT = 420, LEFT = 72, RIGHT = 104, TOP = 64, BOTTOM = 56 };

struct chart {
    FILE *file;
    double low, high; /* log2 of the smallest and the largest batch */
    double top;       /* items a second at the upper end */
};

static double x_of(const struct chart *chart, uint32_t batch)
{
    const double span = chart->high - chart->low;
    const double at = span > 0 ? (log2(batch) - chart->low) / span : 0.5;
    return LEFT + at * (WIDTH - LEFT - RIGHT);
}

static double y_of(const struct chart *chart, double items_per_s)
{
    return HEIGHT - BOTTOM - items_per_s / chart->top * (HEIGHT - TOP - BOTTOM);
}

/* A step of 1, 2 or 5 times a power of ten that makes four to ten of `value`. */
static double nice_step(double value)
{
    const double power = pow(10, floor(log10(value / 4)));
    const double rest = value / 4 / power;
    return power * (rest >= 5 ? 5 : rest >= 2 ? 2 : 1);
}

static void put_text(FILE *file, const char *text)
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

static void draw_axes(const struct chart *chart, double step, const struct bench *bench)
{
    FILE *file = chart->file;
    for (int i = 0; i * step <= chart->top * 1.0001; i++) {
        const double y = y_of(chart, i * step);
        fprintf(file,
                "<line x1='%d' y1='%.1f' x2='%d' y2='%.1f' stroke='%s'/>\n"
                "<text x='%d' y='%.1f' text-anchor='end'>%g</text>\n",
                LEFT, y, WIDTH - RIGHT, y, i ? "#e4e4e4" : "#555", LEFT - 8, y + 4, i * step);
    }
    for (size_t i = 0; i < bench->count; i++) {
        const uint32_t batch = bench->rows[i].batch;
        const double x = x_of(chart, batch);
        size_t first = 0; /* each batch once, whatever the number of towers */
        while (bench->rows[first].batch != batch)
            first++;
        if (first == i)
            fprintf(file,
                    "<line x1='%.1f' y1='%d' x2='%.1f' y2='%d' stroke='#555'/>\n"
                    "<text x='%.1f' y='%d' text-anchor='middle'>%u</text>\n",
                    x, HEIGHT - BOTTOM, x, HEIGHT - BOTTOM + 5, x, HEIGHT - BOTTOM + 20, batch);
    }
    fprintf(file, "<text x='%d' y='%d' text-anchor='middle'>batch size</text>\n",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 12);
    fprintf(file,
            "<text x='20' y='%d' text-anchor='middle' transform='rotate(-90 20 %d)'>items a "
            "second</text>\n",
            (TOP + HEIGHT - BOTTOM) / 2, (TOP + HEIGHT - BOTTOM) / 2);
}

static int by_batch(const void *a, const void *b)
{
    const struct bench_row *x = a, *y = b;
    return x->batch < y->batch ? -1 : x->batch > y->batch;
}

/* The tower's line, a dot a batch size, bars for the middle half of the runs, its name behind. */
static void draw_tower(const struct chart *chart, const struct bench_row *rows, size_t count,
                       const char *colour)
{
    FILE *file = chart->file;
    fprintf(file, "<polyline fill='none' stroke='%s' stroke-width='2' points='", colour);
    for (size_t i = 0; i < count; i++)
        fprintf(file, "%s%.1f,%.1f", i ? " " : "", x_of(chart, rows[i].batch),
                y_of(chart, rows[i].batch / rows[i].seconds));
    fputs("'/>\n", file);
    for (size_t i = 0; i < count; i++) {
        const struct bench_row *row = &rows[i];
        const double x = x_of(chart, row->batch), y = y_of(chart, row->batch / row->seconds);
        fprintf(file,
                "<line x1='%.1f' y1='%.1f' x2='%.1f' y2='%.1f' stroke='%s'/>\n"
                "<circle cx='%.1f' cy='%.1f' r='3.5' fill='%s'><title>batch %u: %.4g items/s"
                "</title></circle>\n",
                x, y_of(chart, row->batch / row->low), x, y_of(chart, row->batch / row->high),
                colour, x, y, colour, row->batch, row->batch / row->seconds);
    }
    const struct bench_row *last = &rows[count - 1];
    fprintf(file, "<text x='%.1f' y='%.1f' fill='%s' font-weight='bold'>%s %.3g</text>\n",
            x_of(chart, last->batch) + 10, y_of(chart, last->batch / last->seconds) + 4, colour,
            bench_tower_name(last->tower), last->batch / last->seconds);
}

static void draw(struct chart *chart, const struct cli *cli, const struct bench *bench)
{
    static const char *const colours[] = {"#0072b2", "#d55e00"}; /* told apart by all eyes */
    struct bench_row rows[2 * BENCH_BATCHES];
    FILE *file = chart->file;
    double most = 0;
    memcpy(rows, bench->rows, bench->count * sizeof(*rows));
    chart->low = INFINITY;
    chart->high = -INFINITY;
    for (size_t i = 0; i < bench->count; i++) {
        chart->low = fmin(chart->low, log2(rows[i].batch));
        chart->high = fmax(chart->high, log2(rows[i].batch));
        most = fmax(most, rows[i].batch / rows[i].low);
    }
    const double step = nice_step(most);
    chart->top = ceil(most / step) * step;
    fprintf(file,
            "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 %d %d' width='%d' height='%d' "
            "font-family='sans-serif' font-size='13' fill='#222'>\n"
            "<rect width='%d' height='%d' fill='white'/>\n<text x='%d' y='26' font-size='16'>",
            WIDTH, HEIGHT, WIDTH, HEIGHT, WIDTH, HEIGHT, LEFT);
    put_text(file, cli->model_path);
    fprintf(file, "</text>\n<text x='%d' y='46' fill='#666'>", LEFT);
    put_text(file, bench->device.name);
    fputs("</text>\n", file);
    draw_axes(chart, step, bench);
    for (size_t first = 0, end; first < bench->count; first = end) {
        end = first;
        while (end < bench->count && rows[end].tower == rows[first].tower)
            end++;
        qsort(&rows[first], end - first, sizeof(*rows), by_batch);
        draw_tower(chart, &rows[first], end - first, colours[rows[first].tower]);
    }
    fputs("</svg>\n", file);
}

bool bench_write_svg(const struct cli *cli, const struct bench *bench, const char *path)
{
    struct util_output output;
    struct chart chart;
    int error = util_output_open(path, &output);
    chart.file = output.file;
    if (!error)
        draw(&chart, cli, bench);
    if (!error && ferror(output.file))
        error = util_fail(VKCLIP_EIO, "%s: cannot be written", path);
    return !util_output_close(&output, error);
}
