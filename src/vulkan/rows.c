/* SPDX-License-Identifier: MIT
 *
 * Remembers what running each row of the kernel table on this device has shown: how long its
 * operations take, and whether it stopped the device or the driver.
 *
 * A row's first runs are risky, because a driver may crash, hang or lose the device. Before the
 * first run the names of all rows that the commands run for the first time are written to one small
 * file, which is removed when the run is done. A later process that finds such a file of a process
 * that is no more knows what was running when it ended: each of these rows is run alone the next
 * time, so that the next such file names one, which is then left out. A single row that was not run
 * for this reason gets a second try, because a process that the user stops during a first run
 * leaves the file too. The file is not synchronised with the disk: it survives the end of the
 * process, which is the common case, but perhaps not that of the machine, and so it costs a tenth
 * of a millisecond per first run and nothing later.
 *
 * A second file, written when the GPU is closed, has a line per row: `known`, `alone` or `out`, the
 * operations and the seconds of the longest dispatch that was timed, and the row's name. Files of
 * another version of the library are ignored, because its kernels may be others.
 */
#include "base/memory.h"
#include "vulkan/internal.h"

#include "base/array.h"
#include "base/cache.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/process.h"
#include "base/string.h"
#include "base/version.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROW_NAME 120

/* ---- How long a submit may take -------------------------------------------------------------- */

/* Operating systems reset a GPU whose submit takes two seconds, and a display that shares the GPU
 * waits for the end of each submit. Vulkan does not tell whether a GPU drives a display, so that
 * every integrated or discrete GPU counts as if it did: the shorter submits cost a computing centre
 * less than a thousandth, because starting one takes some ten microseconds. */
#define SUBMIT_SECONDS_DISPLAY 0.05
#define SUBMIT_SECONDS 0.2

void rows_set_limits(struct gpu *gpu)
{
    /* The speeds are those of the slowest devices of a type with slow kernels. A unit of a discrete
     * GPU multiplies and adds 64 to 128 values per clock: its speed is that of a tenth of them at
     * 1 GHz. Large GPUs would otherwise begin with some sixty submits per batch, each of which
     * takes a command buffer. */
    static const struct {
        double seconds, speed, unit_speed;
    } types[] = {[VKCLIP_DEVICE_DISCRETE] = {SUBMIT_SECONDS_DISPLAY, 1e11, 1e10},
                 [VKCLIP_DEVICE_INTEGRATED] = {SUBMIT_SECONDS_DISPLAY, 1e10, 0},
                 [VKCLIP_DEVICE_VIRTUAL] = {SUBMIT_SECONDS, 1e10, 0},
                 [VKCLIP_DEVICE_OTHER] = {SUBMIT_SECONDS, 1e9, 0}};
    struct gpu_limits *limits = &gpu->limits;
    limits->work = 1e9;
    limits->submit_seconds = 0;
    if (gpu->info.type == VKCLIP_DEVICE_CPU)
        return; /* Nothing watches a CPU. Submits of moderate size let waiting show progress. */
    const double units = limits->units_told ? limits->units : 0;
    limits->submit_seconds = types[gpu->info.type].seconds;
    limits->work = limits->submit_seconds *
                   fmax(types[gpu->info.type].speed, units * types[gpu->info.type].unit_speed);
}

double rows_submit_work(const struct gpu *gpu, const struct gpu_row *row, double weight)
{
    if (!gpu->limits.submit_seconds)
        return gpu->limits.work;
    if (row && row->work > 0 && row->seconds > 0)
        return gpu->limits.submit_seconds * row->work / row->seconds;
    return weight > 1 ? gpu->limits.work / weight : gpu->limits.work;
}

/* A dispatch with this many times the work of those that were timed is timed too, because the speed
 * grows with the work. Smaller factors would time more often for less. */
#define TIMED_AGAIN 4

bool rows_is_unknown(const struct gpu *gpu, const struct gpu_row *row, double work)
{
    return gpu->limits.submit_seconds > 0 && gpu->timestamp_bits && work > TIMED_AGAIN * row->work;
}

void rows_learn(struct gpu *gpu, struct gpu_row *row, double work, double seconds)
{
    if (work <= row->work)
        return;
    row->work = work;
    row->seconds = seconds;
    gpu->rows_changed = true;
}

double gpu_submit_work(const struct gpu *gpu, const char *row, double weight)
{
    return rows_submit_work(gpu, rows_find(gpu, row), weight);
}

/* ---- The list -------------------------------------------------------------------------------- */

struct gpu_row *rows_find(const struct gpu *gpu, const char *name)
{
    struct gpu_row *row = gpu->rows;
    while (row && (!name || strcmp(row->name, name)))
        row = row->next;
    return row;
}

struct gpu_row *rows_get(struct gpu *gpu, const char *name)
{
    struct gpu_row *row = rows_find(gpu, name);
    if (row)
        return row;
    row = memory_calloc(1, sizeof(*row));
    char *copy = string_format("%s", name);
    if (!row || !copy) {
        memory_free(row);
        memory_free(copy);
        error_fail(VKCLIP_EMEMORY, "out of memory for the list of kernels");
        return NULL;
    }
    *row = (struct gpu_row){.name = copy, .next = gpu->rows};
    return gpu->rows = row;
}

bool gpu_row_is_left_out(const struct gpu *gpu, const char *name)
{
    if (!gpu->rows_left_out)
        return false;
    const struct gpu_row *row = rows_find(gpu, name);
    return row && row->state == ROW_OUT;
}

static void set_state(struct gpu *gpu, struct gpu_row *row, enum row_state state)
{
    gpu->rows_left_out += (state == ROW_OUT) - (row->state == ROW_OUT);
    gpu->rows_changed |= row->state != state;
    row->state = state;
}

static void free_rows(struct gpu_row **rows)
{
    while (*rows) {
        struct gpu_row *row = *rows;
        *rows = row->next;
        memory_free(row->name);
        memory_free(row);
    }
}

/* ---- The file of what is known --------------------------------------------------------------- */

static const char *const state_names[] = {
    [ROW_NEW] = "new", [ROW_KNOWN] = "known", [ROW_ALONE] = "alone", [ROW_OUT] = "out"};

/* Reads one line, such as "known 2.4e+09 0.0012 matmul_texel f32 f16". */
static void read_line(struct gpu *gpu, const char *line)
{
    char state[8], name[ROW_NAME];
    double work, seconds;
    if (sscanf(line, "%7s %lf %lf %119[^\n]", state, &work, &seconds, name) != 4 || !(work >= 0) ||
        !(seconds >= 0))
        return;
    for (enum row_state i = ROW_KNOWN; i <= ROW_OUT; i++) {
        struct gpu_row *row = strcmp(state, state_names[i]) ? NULL : rows_get(gpu, name);
        if (!row)
            continue;
        set_state(gpu, row, i);
        row->seconds = seconds;
        row->work = work;
    }
}

static void read_rows(struct gpu *gpu)
{
    struct cache_content content;
    cache_read(gpu->rows_path, &content);
    char *text =
        content.data ? string_format("%.*s", (int)content.size, (const char *)content.data) : NULL;
    cache_release(&content);
    char *line = text ? strchr(text, '\n') : NULL;
    if (line && !strncmp(text, VERSION "\n", sizeof(VERSION)))
        for (; line; line = strchr(line + 1, '\n'))
            read_line(gpu, line + 1);
    memory_free(text);
    gpu->rows_changed = false;
}

/* A file that cannot be written is no failure: the rows' next runs count as their first ones. */
static void write_rows(struct gpu *gpu)
{
    if (!gpu->rows_path || !gpu->rows_changed)
        return;
    char *text = string_format("%s\n", VERSION);
    for (const struct gpu_row *row = gpu->rows; row && text; row = row->next) {
        char *longer = text;
        if (row->state != ROW_NEW)
            longer = string_format("%s%s %.4g %.4g %s\n", text, state_names[row->state], row->work,
                                   row->seconds, row->name);
        if (longer != text)
            memory_free(text);
        text = longer;
    }
    if (text)
        cache_write(gpu->rows_path, text, strlen(text));
    gpu->rows_changed = false;
    memory_free(text);
}

/* ---- First runs ------------------------------------------------------------------------------ */

static bool is_first_run(const struct gpu_row *row)
{
    return row->state == ROW_NEW || row->state == ROW_ALONE;
}

/* With rows that have to run alone, only they are noted, each when it runs. */
void rows_begin(struct gpu *gpu, struct gpu_row *const *rows, size_t count)
{
    FILE *file = NULL;
    for (size_t i = 0; i < count; i++) {
        if (!is_first_run(rows[i]) || rows[i]->running ||
            (rows[i]->state == ROW_ALONE && count > 1))
            continue;
        rows[i]->running = true;
        if (!file && gpu->running_path)
            file = file_stream(gpu->running_path, "ab");
        if (file)
            fprintf(file, "%s\n", rows[i]->name);
    }
    if (file)
        fclose(file);
}

void rows_end(struct gpu *gpu, struct gpu_row *const *rows, size_t count)
{
    bool ended = false;
    for (size_t i = 0; i < count; i++) {
        ended |= rows[i]->running;
        rows[i]->running = false;
        if (is_first_run(rows[i]))
            set_state(gpu, rows[i], ROW_KNOWN);
    }
    for (const struct gpu_row *row = gpu->rows; row && ended; row = row->next)
        ended = !row->running;
    if (ended && gpu->running_path)
        file_remove(gpu->running_path);
}

/* Says which row is left out, and how to get it back. */
static void warn_left_out(const struct gpu *gpu, const struct gpu_row *row)
{
    log_message(VKCLIP_LOG_WARNING,
                "%s: kernel %s is left out, because the device or its driver failed when it first "
                "ran; %s%s",
                gpu->info.name, row->name,
                gpu->rows_path ? "to try it again remove " : "the next process tries it again",
                gpu->rows_path ? gpu->rows_path : "");
}

/* Draws conclusions from a failure during the first runs of `count` rows. `certain` tells whether
 * what ran must have failed: a single row is then left out at once. */
static void blame(struct gpu *gpu, struct gpu_row *const *rows, size_t count, bool certain)
{
    const bool out = count == 1 && (certain || rows[0]->state == ROW_ALONE);
    for (size_t i = 0; i < count; i++)
        set_state(gpu, rows[i], out ? ROW_OUT : ROW_ALONE);
    if (out)
        warn_left_out(gpu, rows[0]);
}

void rows_blame(struct gpu *gpu, struct gpu_row *const *rows, size_t count)
{
    struct gpu_row *first[ROWS_MOST];
    size_t first_count = 0;
    for (size_t i = 0; i < count && first_count < ROWS_MOST; i++)
        if (is_first_run(rows[i]))
            first[first_count++] = rows[i];
    for (struct gpu_row *row = gpu->rows; row; row = row->next)
        row->running = false;
    if (gpu->running_path)
        file_remove(gpu->running_path);
    blame(gpu, first, first_count, true);
    write_rows(gpu);
}

/* ---- What other processes left --------------------------------------------------------------- */

static void read_crash(struct gpu *gpu, const char *path)
{
    struct gpu_row *rows[ROWS_MOST];
    size_t count = 0;
    char name[ROW_NAME];
    FILE *file = file_stream(path, "rb");
    while (file && count < ROWS_MOST && fscanf(file, " %119[^\n]", name) == 1) {
        rows[count] = rows_get(gpu, name);
        count += rows[count] && is_first_run(rows[count]);
    }
    if (file)
        fclose(file);
    if (file_remove(path))
        blame(gpu, rows, count, false);
}

/* Tells whether a process that is no more left the file. A file with the name that this process is
 * about to use is of an earlier one with the same number: in containers all have the same. */
static bool is_left(const struct gpu *gpu, const char *path, const char *prefix)
{
    return (gpu->running_path && !strcmp(path, gpu->running_path)) ||
           !process_is_running(atol(path + strlen(prefix)));
}

/* Finds the files of processes that ended while they ran rows for the first time. */
static void find_crashes(struct gpu *gpu, const char *prefix)
{
    char **names = NULL;
    size_t count = 0;
    const char *base = prefix + strlen(gpu->cache_folder) + 1;
    if (folder_list(gpu->cache_folder, &names, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        if (!string_begins_with(names[i], base))
            continue;
        char *path = string_format("%s/%s", gpu->cache_folder, names[i]);
        if (path && is_left(gpu, path, prefix))
            read_crash(gpu, path);
        memory_free(path);
    }
    folder_free_names(&names, count);
}

/* ---- Open and close -------------------------------------------------------------------------- */

void rows_open(struct gpu *gpu)
{
    static atomic_uint opened; /* Several GPUs of one process may be of the same kind. */
    char *path = gpu_cache_path(gpu, "running");
    char *prefix = path ? string_format("%s.", path) : NULL;
    gpu->rows_path = gpu_cache_path(gpu, "rows");
    if (prefix)
        gpu->running_path =
            string_format("%s%ld.%u", prefix, process_number(), atomic_fetch_add(&opened, 1));
    read_rows(gpu);
    for (const struct gpu_row *row = gpu->rows; row; row = row->next)
        if (row->state == ROW_OUT)
            warn_left_out(gpu, row);
    if (prefix)
        find_crashes(gpu, prefix);
    write_rows(gpu);
    memory_free(prefix);
    memory_free(path);
}

void rows_inherit(struct gpu *gpu, struct gpu *lost)
{
    free_rows(&gpu->rows);
    gpu->rows = lost->rows;
    gpu->rows_left_out = lost->rows_left_out;
    lost->rows = NULL;
    lost->rows_left_out = 0;
}

void rows_close(struct gpu *gpu)
{
    write_rows(gpu);
    free_rows(&gpu->rows);
    memory_free(gpu->rows_path);
    memory_free(gpu->running_path);
}
