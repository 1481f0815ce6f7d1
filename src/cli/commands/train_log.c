/* SPDX-License-Identifier: MIT
 *
 * Writing the log, reading it back when a run goes on, and drawing it.
 */
#include "cli/commands/train_log.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"
#include "cli/print.h"
#include "cli/svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    WIDTH = 720,
    LEFT = 72,
    RIGHT = 690,
    LOSS_TOP = 64,
    LOSS_BOTTOM = 300,
    SCORE_TOP = 370,
    SCORE_BOTTOM = 560,
    MOST_POINTS = 600, /* drawn of a curve: more are averaged */
    SMOOTH = 40        /* the thick curve's points are means over one in so many of the run */
};

struct point {
    double step, values[2]; /* loss; or top-1 and top-5 */
};

struct points {
    struct point *items;
    size_t count, capacity;
};

struct cli_train_log {
    FILE *file;
    char *path, *svg;
    struct points losses, scores;
};

static bool add(struct points *points, double step, double first, double second)
{
    if (points->count == points->capacity) {
        const size_t capacity = points->capacity ? 2 * points->capacity : 256;
        void *items = realloc(points->items, capacity * sizeof(*points->items));
        if (!items)
            return false;
        points->items = items;
        points->capacity = capacity;
    }
    points->items[points->count++] = (struct point){step, {first, second}};
    return true;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Takes a line in and says whether it stays: it does unless it is of a later step. */
static int take_line(struct cli_train_log *log, const char *text, size_t length, uint64_t step,
                     bool *stays)
{
    json_t *json = json_loadb(text, length, 0, NULL);
    const json_t *number = json_object_get(json, "step"), *loss = json_object_get(json, "loss"),
                 *top1 = json_object_get(json, "top1"), *top5 = json_object_get(json, "top5");
    const double at = json_number_value(number);
    const bool good = json_is_integer(number) &&
                      (json_is_number(loss) || (json_is_number(top1) && json_is_number(top5)));
    bool added = true;
    *stays = good && at <= (double)step;
    if (*stays)
        added = json_is_number(loss)
                    ? add(&log->losses, at, json_number_value(loss), 0)
                    : add(&log->scores, at, json_number_value(top1), json_number_value(top5));
    json_decref(json);
    return !good   ? error_fail(VKCLIP_EFORMAT,
                                "%s: not the log of a training run: name another file", log->path)
           : added ? VKCLIP_OK
                   : error_fail(VKCLIP_EMEMORY, "%s: out of memory", log->path);
}

/* The file becomes its lines up to `step`; one that was not finished goes. */
static int cut(struct cli_train_log *log, uint64_t step)
{
    char *text = NULL;
    size_t size = 0, kept = 0;
    int error = file_read(log->path, SIZE_MAX, &text, &size);
    for (size_t at = 0; at < size && !error;) {
        const char *end = memchr(text + at, '\n', size - at);
        const size_t length = end ? (size_t)(end - text) - at : size - at;
        bool stays = false;
        if (end)
            error = take_line(log, text + at, length, step, &stays);
        if (stays) {
            memmove(text + kept, text + at, length + 1);
            kept += length + 1;
        }
        at += length + 1;
    }
    struct file_part part = {text ? text : "", kept};
    error = error ? error : file_write(log->path, &part, 1);
    free(text);
    return error;
}

int cli_train_log_open(const char *path, uint64_t step, struct cli_train_log **result)
{
    struct cli_train_log *log = *result = calloc(1, sizeof(*log));
    const char *dot = strrchr(file_name(path), '.');
    if (!log || !(log->path = string_format("%s", path)) ||
        !(log->svg =
              string_format("%.*s.svg", dot ? (int)(dot - path) : (int)strlen(path), path))) {
        cli_train_log_close(result);
        return cli_fail(CLI_FAILED, "out of memory");
    }
    const bool goes_on = step && file_exists(path);
    int error = string_ends_with(path, ".svg")
                    ? error_fail(VKCLIP_EINVALID,
                                 "%s: the curves would be where the log is: name it "
                                 "otherwise, as run.jsonl",
                                 path)
                : goes_on ? cut(log, step)
                          : VKCLIP_OK;
    if (!error && !(log->file = fopen(path, goes_on ? "ab" : "wb")))
        error = error_fail(VKCLIP_EIO, "%s: cannot be written", path);
    if (!error)
        return CLI_DONE;
    free(log->path);
    log->path = NULL; /* nothing to draw */
    cli_train_log_close(result);
    return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
}

/* ---- Drawing --------------------------------------------------------------------------------- */

/* The mean of items [first, end). */
static struct point mean(const struct point *items, size_t first, size_t end)
{
    struct point sum = {0};
    for (size_t i = first; i < end; i++) {
        sum.step += items[i].step;
        sum.values[0] += items[i].values[0];
        sum.values[1] += items[i].values[1];
    }
    const double count = (double)(end - first);
    return (struct point){sum.step / count, {sum.values[0] / count, sum.values[1] / count}};
}

/* Each point drawn is the mean of those around it, `reach` either way. */
static void draw_curve(const struct cli_svg_panel *panel, const struct points *points, int which,
                       size_t reach, const char *style)
{
    const size_t stride = points->count / MOST_POINTS + 1;
    fprintf(panel->file, "<polyline fill='none' %s points='", style);
    for (size_t i = 0; i < points->count; i += stride) {
        const size_t first = i > reach ? i - reach : 0, end = i + stride + reach;
        const struct point at =
            mean(points->items, first, end < points->count ? end : points->count);
        fprintf(panel->file, "%s%.1f,%.1f", i ? " " : "", cli_svg_x(panel, at.step),
                cli_svg_y(panel, at.values[which]));
    }
    fputs("'/>\n", panel->file);
}

static double most_of(const struct points *points, int which)
{
    double most = 0;
    for (size_t i = 0; i < points->count; i++)
        most = fmax(most, points->items[i].values[which]);
    return most;
}

static struct cli_svg_panel begin_panel(FILE *file, int top, int bottom, double high, double most)
{
    struct cli_svg_panel panel = {
        .file = file, .left = LEFT, .right = RIGHT, .top = top, .bottom = bottom, .high = high};
    cli_svg_fit(&panel, most);
    return panel;
}

static void end_panel(const struct cli_svg_panel *panel, const char *up)
{
    const double step = cli_svg_step(panel->high);
    cli_svg_grid(panel, "step", up);
    for (int i = 0; i * step <= panel->high; i++)
        cli_svg_tick(panel, i * step, i * step);
}

static void draw_scores(FILE *file, const struct points *scores, double high)
{
    static const struct {
        const char *name, *colour;
    } kinds[] = {{"top-1", CLI_SVG_BLUE}, {"top-5", CLI_SVG_RED}};
    struct cli_svg_panel panel =
        begin_panel(file, SCORE_TOP, SCORE_BOTTOM, high, most_of(scores, 1));
    end_panel(&panel, "zero-shot, %");
    for (int k = 0; k < 2; k++) {
        char style[64];
        snprintf(style, sizeof(style), "stroke='%s' stroke-width='2'", kinds[k].colour);
        draw_curve(&panel, scores, k, 0, style);
        for (size_t i = 0; i < scores->count; i++)
            fprintf(file, "<circle cx='%.1f' cy='%.1f' r='3.5' fill='%s'/>\n",
                    cli_svg_x(&panel, scores->items[i].step),
                    cli_svg_y(&panel, scores->items[i].values[k]), kinds[k].colour);
        fprintf(file,
                "<text x='%d' y='%d' fill='%s' font-weight='bold' stroke='white' stroke-width='4' "
                "paint-order='stroke'>%s %.2f %%</text>\n",
                LEFT + 10, SCORE_TOP + 2 + 18 * (1 - k), kinds[k].colour, kinds[k].name,
                scores->items[scores->count - 1].values[k]);
    }
}

static void draw(FILE *file, const struct cli_train_log *log)
{
    const struct points *losses = &log->losses, *scores = &log->scores;
    const struct point *last = &losses->items[losses->count - 1];
    char subtitle[64];
    snprintf(subtitle, sizeof(subtitle), "loss %.4f after %.0f steps", last->values[0], last->step);
    struct cli_svg_panel panel =
        begin_panel(file, LOSS_TOP, LOSS_BOTTOM, last->step, most_of(losses, 0));
    cli_svg_begin(file, WIDTH, scores->count ? SCORE_BOTTOM + 56 : LOSS_BOTTOM + 56, LEFT,
                  file_name(log->path), subtitle);
    end_panel(&panel, "loss");
    draw_curve(&panel, losses, 0, 0, "stroke='#9cc7e0'");
    draw_curve(&panel, losses, 0, losses->count / SMOOTH / 2,
               "stroke='" CLI_SVG_BLUE "' stroke-width='2'");
    if (scores->count)
        draw_scores(file, scores, last->step);
    cli_svg_end(file);
}

static int write_svg(const struct cli_train_log *log)
{
    struct file_output output;
    if (!log->losses.count)
        return CLI_DONE;
    int error = file_output_open(log->svg, &output);
    if (!error)
        draw(output.file, log);
    if (!error && ferror(output.file))
        error = error_fail(VKCLIP_EIO, "%s: cannot be written", log->svg);
    error = file_output_close(&output, error);
    return error ? cli_fail(CLI_FAILED, "%s", vkclip_last_error()) : CLI_DONE;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static int put(struct cli_train_log *log, json_t *json)
{
    if (cli_print_json(json, log->file) && !fflush(log->file))
        return CLI_DONE;
    return cli_fail(CLI_FAILED, "%s: cannot be written", log->path);
}

int cli_train_log_step(struct cli_train_log *log, const struct vkclip_train_result *result,
                       uint32_t pairs)
{
    if (!add(&log->losses, (double)result->step, (double)result->loss, 0))
        return cli_fail(CLI_FAILED, "out of memory");
    return put(log,
               json_pack("{sI sf sf sf sf sf sf sf sf}", "step", (json_int_t)result->step, "loss",
                         (double)result->loss, "lr", (double)result->lr, "logit_scale",
                         (double)result->logit_scale, "grad_norm", (double)result->grad_norm,
                         "loss_scale", (double)result->loss_scale, "seconds", result->seconds,
                         "waiting", result->waiting, "pairs_per_second", pairs / result->seconds));
}

int cli_train_log_evaluation(struct cli_train_log *log, uint64_t step,
                             const struct cli_evaluation *evaluation)
{
    const struct points *scores = &log->scores;
    if (scores->count && scores->items[scores->count - 1].step >= (double)step)
        return CLI_DONE; /* made again by a run that went on: the log has it */
    if (!add(&log->scores, (double)step, evaluation->top1, evaluation->top5))
        return cli_fail(CLI_FAILED, "out of memory");
    int status =
        put(log, json_pack("{sI sf sf sI}", "step", (json_int_t)step, "top1", evaluation->top1,
                           "top5", evaluation->top5, "images", (json_int_t)evaluation->images));
    return status ? status : write_svg(log);
}

int cli_train_log_close(struct cli_train_log **handle)
{
    struct cli_train_log *log = *handle;
    if (!log)
        return CLI_DONE;
    int status = log->path && log->svg ? write_svg(log) : CLI_DONE;
    if (log->file && fclose(log->file) && !status)
        status = cli_fail(CLI_FAILED, "%s: cannot be written", log->path);
    free(log->path);
    free(log->svg);
    free(log->losses.items);
    free(log->scores.items);
    free(log);
    *handle = NULL;
    return status;
}
