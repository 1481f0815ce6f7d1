/* SPDX-License-Identifier: MIT
 *
 * vkclip bench: times the towers, from preprocessed inputs on the host to embeddings there.
 */
#include "cli/commands/bench.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/environment.h"
#include "base/folder.h"
#include "base/process.h"
#include "base/string.h"
#include "cli/command.h"
#include "cli/log.h"
#include "cli/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A median of fewer runs would be noise; more of them would not change it. A call encodes so many
 * batches that two are in flight nearly all the time; the first one of a call is not timed, because
 * the device waits for its inputs. */
enum { LEAST_RUNS = 5, CALL_BATCHES = 6, MOST_RUNS = 1000, DEFAULT_SECONDS = 2 };

/* ---- Inputs ---------------------------------------------------------------------------------- */

/* Makes random pictures, or random texts that fill the context; NULL when out of memory. */
static void *make_inputs(const struct vkclip_model_info *info, enum vkclip_tower tower,
                         size_t count)
{
    const size_t width = tower == VKCLIP_TOWER_TEXT
                             ? info->context
                             : 3 * (size_t)info->image_size * info->image_size;
    uint32_t state = 1;
    float *pixels = malloc(count * width * sizeof(*pixels));
    int32_t *ids = (int32_t *)(void *)pixels; /* which have the same size */
    for (size_t i = 0; pixels && i < count * width; i++) {
        state = state * 1664525 + 1013904223;
        if (tower == VKCLIP_TOWER_IMAGE)
            pixels[i] = (float)(state >> 8) / (1 << 23) - 1;
        else if (i % width == width - 1)
            ids[i] = (int32_t)info->vocabulary - 1; /* The end of text has the highest id. */
        else
            ids[i] = (int32_t)((state >> 8) % (info->vocabulary - 2));
    }
    return pixels;
}

static int encode(struct vkclip_model *model, const struct vkclip_model_info *info,
                  enum vkclip_tower tower, const void *inputs, size_t count,
                  const struct vkclip_encode_params *params, float *embeds)
{
    if (tower == VKCLIP_TOWER_TEXT)
        return vkclip_encode_tokens(model, inputs, count, info->context, params, embeds);
    return vkclip_encode_pixels(model, inputs, count, params, embeds);
}

/* ---- Start-up -------------------------------------------------------------------------------- */

/* What one start-up needs. */
struct start {
    const struct bench_options *options;
    const struct vkclip_model_info *info;
    enum vkclip_tower tower;
    const char *cache; /* folder of the caches */
};

/* Seconds from opening the device to the first embedding; below 0 where it fails. */
static double start_up(const struct start *start)
{
    const double before = clock_seconds();
    const struct vkclip_model_info *info = start->info;
    const struct vkclip_device_params device_params = {.size = sizeof(device_params),
                                                       .device = start->options->device.name,
                                                       .cache_dir = start->cache};
    const struct vkclip_model_params model_params = cli_model_params(&start->options->model);
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    void *inputs = make_inputs(info, start->tower, 1);
    float *embeds = malloc((info->embed_dim + info->text_embed_dim) * sizeof(*embeds));
    int error = !inputs || !embeds;
    if (!error)
        error = vkclip_open_device(&device_params, &device);
    if (!error)
        error = vkclip_open_model(device, start->options->model.path, &model_params, &model);
    if (!error)
        error = encode(model, info, start->tower, inputs, 1, NULL, embeds);
    const double seconds = error ? -1 : clock_seconds() - before;
    vkclip_close_model(&model);
    vkclip_close_device(&device); /* This writes the caches. */
    free(inputs);
    free(embeds);
    return seconds;
}

/* The drivers' own caches go to the folder too. */
static void start_child(void *user, void *seconds)
{
    const struct start *start = user;
    environment_set("MESA_SHADER_CACHE_DIR", start->cache);
    environment_set("__GL_SHADER_DISK_CACHE_PATH", start->cache);
    *(double *)seconds = start_up(start);
}

/* The start-up in a new process, which has loaded no driver yet. */
static double start_up_alone(struct start *start)
{
    double seconds = -1;
    return process_run_apart(start_child, start, &seconds, sizeof(seconds)) ? seconds : -1;
}

static void measure_start(struct start start, struct bench *bench)
{
    char *cache = folder_make_temporary("vkclip-bench");
    if (!cache)
        return;
    start.cache = cache;
    bench->cold[start.tower] = start_up_alone(&start);
    bench->warm[start.tower] = start_up_alone(&start);
    folder_remove(cache);
    free(cache);
}

/* ---- Speed ----------------------------------------------------------------------------------- */

/* Sorts the op that takes longest to the front. */
static int compare_ops(const void *a, const void *b)
{
    return -array_compare_doubles(&((const struct bench_op *)a)->node.seconds,
                                  &((const struct bench_op *)b)->node.seconds);
}

static struct bench_op *find_op(const struct bench_row *row, const struct vkclip_node *node)
{
    for (size_t i = 0; i < row->op_count; i++) {
        struct bench_op *op = &row->ops[i];
        if (!strcmp(op->op, node->op) && !strcmp(op->node.shape, node->shape) &&
            !strcmp(op->node.kernel, node->kernel))
            return op;
    }
    return NULL;
}

/* Is a vkclip_node_fn: adds a node to those of its op, shape and kernel. */
static int add_node(void *user, const struct vkclip_node *node)
{
    struct bench_row *row = user;
    struct bench_op *op = find_op(row, node);
    if (op) {
        op->calls++;
        op->node.operations += node->operations;
        op->node.bytes += node->bytes;
        op->node.seconds += node->seconds;
        return 0;
    }
    op = realloc(row->ops, (row->op_count + 1) * sizeof(*op));
    if (!op)
        return 0;
    row->ops = op;
    op += row->op_count++;
    *op = (struct bench_op){.node = *node, .calls = 1};
    snprintf(op->op, sizeof(op->op), "%s", node->op);
    return 0;
}

/* The times of the batches of a row; `times` has room for MOST_RUNS. */
struct timing {
    struct bench_row *row;
    double *times;
    double last; /* when a batch was last complete */
    size_t done; /* items of the call that were complete then */
};

/* Is a vkclip_progress_fn: takes the time from the completion of one batch to that of the next. */
static int time_batch(void *user, uint64_t done, uint64_t total)
{
    struct timing *timing = user;
    const double now = clock_seconds(),
                 batches = (double)(done - timing->done) / timing->row->batch;
    (void)total;
    if (timing->done && timing->row->runs < MOST_RUNS)
        timing->times[timing->row->runs++] = (now - timing->last) / batches;
    timing->last = now;
    timing->done = (size_t)done;
    return 0;
}

/* Repeats the batch until the time is over. */
static int repeat_batch(const struct cli_session *session, const struct bench_options *options,
                        struct bench_row *row, const void *inputs, float *embeds, double *times)
{
    const double limit = options->seconds ? options->seconds : DEFAULT_SECONDS;
    struct timing timing = {.row = row, .times = times};
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .progress = time_batch, .user = &timing};
    int error =
        encode(session->model, &session->info, row->tower, inputs, 2 * row->batch, NULL, embeds);
    const double start = clock_seconds();
    double now = start, call = 0;
    while (!error && row->runs < MOST_RUNS &&
           (row->runs < LEAST_RUNS || now - start + call <= limit)) {
        const double before = now;
        timing.done = 0;
        error = encode(session->model, &session->info, row->tower, inputs,
                       (size_t)CALL_BATCHES * row->batch, &params, embeds);
        now = clock_seconds();
        call = now - before;
    }
    return error;
}

static void summarise_times(struct bench_row *row, double *times)
{
    const uint32_t runs = row->runs;
    qsort(times, runs, sizeof(*times), array_compare_doubles);
    row->seconds = (times[(runs - 1) / 2] + times[runs / 2]) / 2;
    row->low = times[runs / 4];
    row->high = times[runs - 1 - runs / 4];
}

static int measure(const struct cli_session *session, const struct bench_options *options,
                   struct bench_row *row)
{
    const struct vkclip_model_info *info = &session->info;
    row->cost.size = sizeof(row->cost);
    const size_t width = row->tower == VKCLIP_TOWER_TEXT ? info->text_embed_dim : info->embed_dim;
    const size_t count = (size_t)CALL_BATCHES * row->batch;
    void *inputs = make_inputs(info, row->tower, count);
    float *embeds = malloc(count * width * sizeof(*embeds));
    double *times = malloc(MOST_RUNS * sizeof(*times));
    int error = VKCLIP_OK;
    if (!inputs || !embeds || !times)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for a batch of %u", row->batch);
    if (!error)
        error = repeat_batch(session, options, row, inputs, embeds, times);
    if (!error) {
        summarise_times(row, times);
        error = vkclip_profile(session->model, row->tower, row->batch,
                               options->profile ? add_node : NULL, row, &row->cost);
    }
    if (!error && row->op_count) /* qsort takes no NULL, which an empty array may be. */
        qsort(row->ops, row->op_count, sizeof(*row->ops), compare_ops);
    free(inputs);
    free(embeds);
    free(times);
    return error;
}

/* ---- The command ----------------------------------------------------------------------------- */

/* Reads "1,8,32". */
static int parse_batches(const struct cli_session *session, const char *text,
                         uint32_t batches[BENCH_BATCHES], size_t *count)
{
    const char *start = text;
    bool last = false;
    *count = 0;
    while (!last) {
        char *end = NULL;
        const unsigned long batch = *start >= '1' && *start <= '9' ? strtoul(start, &end, 10) : 0;
        if (!batch || batch > 1024 || batch & (batch - 1) || *count == BENCH_BATCHES ||
            (*end && *end != ','))
            return cli_fail_usage(session,
                                  "--batches: expected powers of two from 1 to 1024 with commas "
                                  "between, found '%s'",
                                  text);
        batches[(*count)++] = (uint32_t)batch;
        last = !*end;
        start = end + 1;
    }
    return CLI_DONE;
}

static bool is_wanted(const struct bench_options *options, const struct vkclip_model_info *info,
                      enum vkclip_tower tower)
{
    switch (options->towers) {
    case BENCH_IMAGE:
        return tower == VKCLIP_TOWER_IMAGE;
    case BENCH_TEXT:
        return tower == VKCLIP_TOWER_TEXT;
    case BENCH_ALL_TOWERS:
        break;
    }
    return (tower == VKCLIP_TOWER_TEXT ? info->text.width : info->image.width) > 0;
}

/* Opens the model without a device, to tell what is in it, and measures the start-up of its
 * towers. */
static int measure_starts(struct cli_session *session, const struct bench_options *options,
                          struct bench *bench)
{
    const unsigned needs[] = {
        [BENCH_ALL_TOWERS] = 0, [BENCH_IMAGE] = CLI_NEED_IMAGES, [BENCH_TEXT] = CLI_NEED_TEXTS};
    int status = cli_open_model(session, &options->model);
    if (!status)
        status = cli_check_model(session, options->model.path, needs[options->towers]);
    for (enum vkclip_tower tower = 0; tower <= VKCLIP_TOWER_TEXT && !status; tower++)
        if (!options->only_speed && is_wanted(options, &session->info, tower))
            measure_start(
                (struct start){.options = options, .info = &session->info, .tower = tower}, bench);
    vkclip_close_model(&session->model);
    return status;
}

static int measure_device(struct cli_session *session, const struct bench_options *options,
                          struct bench *bench)
{
    int status = cli_open_device(session, &options->device);
    if (status)
        return status;
    int error = vkclip_get_device_info(session->device, &bench->device);
    if (!error && !options->only_speed)
        error = vkclip_measure_peaks(session->device, NULL, NULL, &bench->peaks);
    return error ? cli_fail_library(session, CLI_FAILED) : CLI_DONE;
}

/* Measures one batch size. The rows of a tower follow each other, `count` of them. */
static int measure_batch(struct cli_session *session, struct bench_options *options, size_t number,
                         size_t count, struct bench *bench)
{
    struct bench_row *row = &bench->rows[number];
    int status = cli_open_model(session, &options->model);
    for (enum vkclip_tower tower = 0; tower <= VKCLIP_TOWER_TEXT && !status; tower++) {
        if (!is_wanted(options, &session->info, tower))
            continue;
        *row = (struct bench_row){.tower = tower, .batch = options->model.batch};
        bench->count++;
        if (measure(session, options, row))
            status = cli_fail_library(session, CLI_FAILED);
        row += count;
    }
    return status;
}

/* Opens the model once per batch size, so that no call takes larger batches. */
static int measure_rows(struct cli_session *session, struct bench_options *options,
                        const uint32_t *batches, size_t count, struct bench *bench)
{
    int status = CLI_DONE;
    for (size_t i = 0; i < count && !status; i++) {
        vkclip_close_model(&session->model);
        options->model.batch = batches[i];
        status = measure_batch(session, options, i, count, bench);
    }
    bench->host_bytes = process_most_memory();
    return status;
}

static int run_bench(struct cli_session *session, void *user)
{
    struct bench_options *options = user;
    struct bench_row rows[2 * BENCH_BATCHES] = {{0}};
    struct bench bench = {.rows = rows, .cold = {-1, -1}, .warm = {-1, -1}};
    bench.device.size = sizeof(bench.device);
    bench.peaks.size = sizeof(bench.peaks);
    uint32_t batches[BENCH_BATCHES];
    size_t count;
    int status =
        parse_batches(session, options->batches ? options->batches : "1,8", batches, &count);
    if (!status)
        status = measure_starts(session, options, &bench);
    if (!status)
        status = measure_device(session, options, &bench);
    if (!status)
        status = measure_rows(session, options, batches, count, &bench);
    if (!status && !bench_print(session, options, &bench))
        status = CLI_FAILED;
    if (!status && options->svg && !bench_write_svg(options, &bench))
        status = cli_fail_library(session, CLI_FAILED);
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        free(rows[i].ops);
    return status;
}

#define FIELD(name) offsetof(struct bench_options, name)
static const struct cli_choice towers[] = {{"image", BENCH_IMAGE}, {"text", BENCH_TEXT}, {0}};

static const struct cli_option table[] = {
    CLI_OPTION_CHOICE("tower", towers, FIELD(towers), "time one tower only"),
    CLI_OPTION(0, "batches", "LIST", CLI_TEXT, FIELD(batches),
               "batch sizes, powers of two, as 1,8,32 (1,8)"),
    CLI_OPTION(0, "seconds", "N", CLI_NUMBER, FIELD(seconds),
               "time for each batch size, at least 5 runs (2)"),
    CLI_OPTION(0, "profile", NULL, CLI_FLAG, FIELD(profile),
               "add the device's time by op and shape"),
    CLI_OPTION(0, "only-speed", NULL, CLI_FLAG, FIELD(only_speed),
               "leave out the peak and the start-up"),
    CLI_OPTION(0, "csv", NULL, CLI_FLAG, FIELD(csv), "print CSV"),
    CLI_OPTION(0, "svg", "FILE", CLI_TEXT, FIELD(svg), "plot items per second over batch size"),
    CLI_INCLUDE(cli_model_options, FIELD(model)),
    CLI_INCLUDE(cli_device_options, FIELD(device)),
    {0}};

const struct cli_command cli_bench_command = {
    .name = "bench",
    .summary = "time a model on this machine",
    .usage = "-m PATH [OPTION...]",
    .text =
        "Times the towers from preprocessed inputs on the host to embeddings there, two batches "
        "in\n"
        "flight, texts of the whole context: items per second (median), arithmetic, and its share\n"
        "of the device's peaks of multiply-adds and of cooperative matrices, which small kernels\n"
        "measure first. Also the memory, and the start-up: from a process without a driver to the\n"
        "first embedding, with empty caches and again.",
    .options = table,
    .options_size = sizeof(struct bench_options),
    .run = run_bench,
};
