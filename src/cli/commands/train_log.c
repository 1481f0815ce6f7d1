/* SPDX-License-Identifier: MIT
 *
 * Writes the log of a training run, reads it back when the run resumes, and draws its curves.
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
    MOST_POINTS = 600, /* A curve of more points is drawn from their averages. */
    SMOOTH = 40        /* The thick curve averages over the 40th part of the run around a point. */
};

struct point {
    double step, values[2]; /* the loss; or top-1 and top-5 */
};

struct points {
    struct point *items;
    size_t count, capacity;
};

struct cli_train_log {
    FILE *file;
    char *path, *svg;
    struct points losses, scores;
    double validated; /* step of the last validation that the file has; 0: none */
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

/* Adds the line to the curves. *stays is false for a line of a step after `step`, which the resumed
 * run makes again. */
static int take_line(struct cli_train_log *log, const char *text, size_t length, uint64_t step,
                     bool *stays)
{
    json_t *json = json_loadb(text, length, 0, NULL);
    const json_t *number = json_object_get(json, "step"), *loss = json_object_get(json, "loss"),
                 *top1 = json_object_get(json, "top1"), *top5 = json_object_get(json, "top5");
    const bool validation = json_is_number(json_object_get(json, "val_loss"));
    const double line_step = json_number_value(number);
    const bool scores = json_is_number(top1) && json_is_number(top5);
    const bool good = json_is_integer(number) && (json_is_number(loss) || scores || validation);
    bool added = true;
    *stays = good && line_step <= (double)step;
    if (*stays && json_is_number(loss))
        added = add(&log->losses, line_step, json_number_value(loss), 0);
    else if (*stays && validation)
        log->validated = line_step;
    else if (*stays)
        added = add(&log->scores, line_step, json_number_value(top1), json_number_value(top5));
    json_decref(json);
    if (!good)
        return error_fail(VKCLIP_EFORMAT, "%s: not the log of a training run: name another file",
                          log->path);
    return added ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "%s: out of memory", log->path);
}

/* Shortens the file to its lines up to `step`. A line that was not finished is removed. */
static int cut_file(struct cli_train_log *log, uint64_t step)
{
    char *text = NULL;
    size_t size = 0, kept = 0;
    int error = file_read(log->path, SIZE_MAX, &text, &size);
    const char *line = text, *end = error ? NULL : memchr(text, '\n', size);
    while (end && !error) {
        const size_t length = (size_t)(end - line);
        bool stays = false;
        error = take_line(log, line, length, step, &stays);
        if (stays) {
            memmove(text + kept, line, length + 1);
            kept += length + 1;
        }
        line = end + 1;
        end = memchr(line, '\n', size - (size_t)(line - text));
    }
    const struct file_part part = {text ? text : "", kept};
    if (!error)
        error = file_write(log->path, &part, 1);
    free(text);
    return error;
}

/* "run.svg" for "run.jsonl"; NULL when out of memory. */
static char *svg_path(const char *path)
{
    const char *dot = strrchr(file_name(path), '.');
    const size_t length = dot ? (size_t)(dot - path) : strlen(path);
    return string_format("%.*s.svg", (int)length, path);
}

static int open_file(struct cli_train_log *log, uint64_t step)
{
    const bool resumed = step && file_exists(log->path);
    int error = VKCLIP_OK;
    if (string_ends_with(log->path, ".svg"))
        return error_fail(VKCLIP_EINVALID,
                          "%s: the curves would be written to the same file: name the log "
                          "otherwise, as run.jsonl",
                          log->path);
    if (resumed)
        error = cut_file(log, step);
    if (error)
        return error;
    log->file = file_stream(log->path, resumed ? "ab" : "wb");
    if (!log->file)
        return file_fail_writing(log->path);
    return VKCLIP_OK;
}

int cli_train_log_open(const char *path, uint64_t step, struct cli_train_log **result)
{
    struct cli_train_log *log = calloc(1, sizeof(*log));
    *result = log;
    if (!log)
        return cli_fail_memory();
    log->path = string_format("%s", path);
    log->svg = svg_path(path);
    int error = VKCLIP_OK;
    if (!log->path || !log->svg)
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (!error)
        error = open_file(log, step);
    if (!error)
        return CLI_DONE;
    int status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    cli_train_log_close(result);
    return status;
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

/* Draws a curve. Each point is the mean of the points up to `reach` before and after it. */
static void draw_curve(const struct cli_svg_panel *panel, const struct points *points, int which,
                       size_t reach, const char *style)
{
    const size_t stride = points->count / MOST_POINTS + 1;
    fprintf(panel->file, "<polyline fill='none' %s points='", style);
    for (size_t i = 0; i < points->count; i += stride) {
        const size_t first = i > reach ? i - reach : 0, end = i + stride + reach;
        const struct point middle =
            mean(points->items, first, end < points->count ? end : points->count);
        fprintf(panel->file, "%s%.1f,%.1f", i ? " " : "", cli_svg_x(panel, middle.step),
                cli_svg_y(panel, middle.values[which]));
    }
    fputs("'/>\n", panel->file);
}

static double largest_value(const struct points *points, int which)
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
        begin_panel(file, SCORE_TOP, SCORE_BOTTOM, high, largest_value(scores, 1));
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
        begin_panel(file, LOSS_TOP, LOSS_BOTTOM, last->step, largest_value(losses, 0));
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
        error = file_fail_writing(log->svg);
    error = file_output_close(&output, error);
    return error ? cli_fail(CLI_FAILED, "%s", vkclip_last_error()) : CLI_DONE;
}

/* ---- Writing --------------------------------------------------------------------------------- */

static int fail_writing(const struct cli_train_log *log)
{
    file_fail_writing(log->path);
    return cli_fail(CLI_FAILED, "%s", error_last());
}

static int put(struct cli_train_log *log, json_t *json)
{
    if (cli_print_json(json, log->file) && !fflush(log->file))
        return CLI_DONE;
    return fail_writing(log);
}

int cli_train_log_step(struct cli_train_log *log, const struct vkclip_train_result *result,
                       uint32_t pairs)
{
    if (!add(&log->losses, (double)result->step, (double)result->loss, 0))
        return cli_fail_memory();
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
        return CLI_DONE; /* A resumed run evaluates its first saved step again: the log has it. */
    if (!add(&log->scores, (double)step, evaluation->top1, evaluation->top5))
        return cli_fail_memory();
    int status =
        put(log, json_pack("{sI sf sf sI}", "step", (json_int_t)step, "top1", evaluation->top1,
                           "top5", evaluation->top5, "images", (json_int_t)evaluation->images));
    if (!status)
        status = write_svg(log);
    return status;
}

int cli_train_log_validation(struct cli_train_log *log, uint64_t step,
                             const struct vkclip_validation *validation)
{
    if (log->validated >= (double)step)
        return CLI_DONE; /* As with an evaluation, a resumed run may have been here before. */
    log->validated = (double)step;
    return put(log, json_pack("{sI sf so so sI sI}", "step", (json_int_t)step, "val_loss",
                              validation->loss, "image_to_text",
                              cli_json_recall(validation->image_to_text), "text_to_image",
                              cli_json_recall(validation->text_to_image), "images",
                              (json_int_t)validation->images, "captions",
                              (json_int_t)validation->captions));
}

int cli_train_log_close(struct cli_train_log **handle)
{
    struct cli_train_log *log = *handle;
    if (!log)
        return CLI_DONE;
    int status = log->file ? write_svg(log) : CLI_DONE;
    if (log->file && fclose(log->file) && !status)
        status = fail_writing(log);
    free(log->path);
    free(log->svg);
    free(log->losses.items);
    free(log->scores.items);
    free(log);
    *handle = NULL;
    return status;
}
