/* SPDX-License-Identifier: MIT
 *
 * vkclip bench: times the towers, from preprocessed inputs on the host to embeddings there.
 */
#define _DEFAULT_SOURCE
#include "cli/commands/bench.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/folder.h"
#include "base/string.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#ifndef _WIN32
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

enum { LEAST_RUNS = 5, MOST_RUNS = 1000 };

/* ---- Inputs ---------------------------------------------------------------------------------- */

/* Pictures of no meaning and texts that fill the context; NULL when out of memory. */
static void *make_inputs(const struct vkclip_model_info *info, enum vkclip_tower tower,
                         uint32_t batch)
{
    const size_t width = tower == VKCLIP_TOWER_TEXT
                             ? info->context
                             : 3 * (size_t)info->image_size * info->image_size;
    uint32_t state = 1;
    float *pixels = malloc(batch * width * sizeof(*pixels));
    int32_t *ids = (int32_t *)(void *)pixels; /* of the same size */
    for (size_t i = 0; pixels && i < batch * width; i++) {
        state = state * 1664525 + 1013904223;
        if (tower == VKCLIP_TOWER_IMAGE)
            pixels[i] = (float)(state >> 8) / (1 << 23) - 1;
        else if (i % width == width - 1)
            ids[i] = (int32_t)info->vocabulary - 1; /* where it ends: the highest id */
        else
            ids[i] = (int32_t)((state >> 8) % (info->vocabulary - 2));
    }
    return pixels;
}

static int encode(struct vkclip_model *model, const struct vkclip_model_info *info,
                  enum vkclip_tower tower, const void *inputs, uint32_t batch, float *embeds)
{
    return tower == VKCLIP_TOWER_TEXT
               ? vkclip_encode_tokens(model, inputs, batch, info->context, NULL, embeds)
               : vkclip_encode_pixels(model, inputs, batch, NULL, embeds);
}

/* ---- Start-up -------------------------------------------------------------------------------- */

#ifndef _WIN32
/* Seconds from opening the device to the first embedding; below 0 where it fails. */
static double start_up(const struct cli *cli, enum vkclip_tower tower, const char *cache)
{
    const double start = clock_seconds();
    struct vkclip_device_params where = {.device = cli->device_name, .cache_dir = cache};
    struct vkclip_model_params how = cli_model_params(cli);
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    void *inputs = make_inputs(&cli->info, tower, 1);
    float *embeds = malloc((cli->info.embed_dim + cli->info.text_embed_dim) * sizeof(*embeds));
    bool good = inputs && embeds && !vkclip_open_device(&where, &device) &&
                !vkclip_open_model(device, cli->model_path, &how, &model) &&
                !encode(model, &cli->info, tower, inputs, 1, embeds);
    double seconds = good ? clock_seconds() - start : -1;
    vkclip_close_model(&model);
    vkclip_close_device(&device); /* writes the caches */
    free(inputs);
    free(embeds);
    return seconds;
}

/* In a process of its own, which has loaded no driver yet. Drivers' caches go to the folder too. */
static double start_up_alone(const struct cli *cli, enum vkclip_tower tower, const char *cache)
{
    int ends[2];
    double seconds = -1;
    if (pipe(ends))
        return -1;
    pid_t child = fork();
    if (!child) {
        setenv("MESA_SHADER_CACHE_DIR", cache, 1);
        setenv("__GL_SHADER_DISK_CACHE_PATH", cache, 1);
        seconds = start_up(cli, tower, cache);
        _exit(write(ends[1], &seconds, sizeof(seconds)) != sizeof(seconds));
    }
    close(ends[1]);
    if (child > 0 && read(ends[0], &seconds, sizeof(seconds)) != sizeof(seconds))
        seconds = -1;
    close(ends[0]);
    if (child > 0)
        waitpid(child, NULL, 0);
    return seconds;
}

static void remove_folder(const char *path)
{
    char **names = NULL;
    size_t count = 0;
    struct stat status;
    if (!lstat(path, &status) && S_ISDIR(status.st_mode) && !folder_list(path, &names, &count))
        for (size_t i = 0; i < count; i++) {
            char *inside = string_format("%s/%s", path, names[i]);
            if (inside)
                remove_folder(inside);
            free(inside);
        }
    folder_free_names(&names, count);
    remove(path);
}

static void measure_start(const struct cli *cli, enum vkclip_tower tower, struct bench *bench)
{
    const char *base = getenv("TMPDIR");
    char *cache = string_format("%s/vkclip-bench-XXXXXX", base ? base : "/tmp");
    if (cache && mkdtemp(cache)) {
        bench->cold[tower] = start_up_alone(cli, tower, cache);
        bench->warm[tower] = start_up_alone(cli, tower, cache);
        remove_folder(cache);
    }
    free(cache);
}

static uint64_t host_bytes(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage))
        return 0;
#ifdef __APPLE__
    return (uint64_t)usage.ru_maxrss;
#else
    return (uint64_t)usage.ru_maxrss * 1024;
#endif
}
#else
static void measure_start(const struct cli *cli, enum vkclip_tower tower, struct bench *bench)
{
    (void)cli, (void)tower, (void)bench; /* needs fork() */
}
static uint64_t host_bytes(void)
{
    return 0;
}
#endif

/* ---- Speed ----------------------------------------------------------------------------------- */

static int by_seconds(const void *a, const void *b)
{
    return -array_compare_doubles(&((const struct bench_op *)a)->node.seconds,
                                  &((const struct bench_op *)b)->node.seconds);
}

/* vkclip_node_fn: counts a node to those of its op, shape and kernel. */
static void add_node(void *user, const struct vkclip_node *node)
{
    struct bench_row *row = user;
    struct bench_op *op = row->ops;
    const struct bench_op *end = op ? op + row->op_count : NULL;
    while (op < end && (strcmp(op->op, node->op) || strcmp(op->node.shape, node->shape) ||
                        strcmp(op->node.kernel, node->kernel)))
        op++;
    if (op < end) {
        op->calls++;
        op->node.operations += node->operations;
        op->node.bytes += node->bytes;
        op->node.seconds += node->seconds;
        return;
    }
    op = realloc(row->ops, (row->op_count + 1) * sizeof(*op));
    if (!op)
        return;
    row->ops = op;
    op += row->op_count++;
    *op = (struct bench_op){.node = *node, .calls = 1};
    snprintf(op->op, sizeof(op->op), "%s", node->op);
}

static int measure(struct cli *cli, struct bench_row *row)
{
    const size_t dim =
        row->tower == VKCLIP_TOWER_TEXT ? cli->info.text_embed_dim : cli->info.embed_dim;
    void *inputs = make_inputs(&cli->info, row->tower, row->batch);
    float *embeds = malloc(row->batch * dim * sizeof(*embeds));
    double *times = malloc(MOST_RUNS * sizeof(*times)), limit = cli->seconds ? cli->seconds : 2;
    int error = !inputs || !embeds || !times;
    if (error)
        error_fail(VKCLIP_EMEMORY, "out of memory for a batch of %u", row->batch);
    error = error || encode(cli->model, &cli->info, row->tower, inputs, row->batch, embeds);
    const double start = clock_seconds();
    double now = start;
    while (!error && row->runs < MOST_RUNS &&
           (row->runs < LEAST_RUNS || now - start + times[row->runs - 1] <= limit)) {
        const double before = now;
        error = encode(cli->model, &cli->info, row->tower, inputs, row->batch, embeds);
        now = clock_seconds();
        times[row->runs++] = now - before;
    }
    if (!error) {
        qsort(times, row->runs, sizeof(*times), array_compare_doubles);
        row->seconds = (times[(row->runs - 1) / 2] + times[row->runs / 2]) / 2;
        row->low = times[row->runs / 4];
        row->high = times[row->runs - 1 - row->runs / 4];
        error = vkclip_profile(cli->model, row->tower, row->batch, cli->profile ? add_node : NULL,
                               row, &row->cost);
        if (row->op_count) /* an array of none may be no address */
            qsort(row->ops, row->op_count, sizeof(*row->ops), by_seconds);
    }
    free(inputs);
    free(embeds);
    free(times);
    return error;
}

/* ---- The command ----------------------------------------------------------------------------- */

/* "1,8,32" */
static int parse_batches(struct cli *cli, uint32_t batches[BENCH_BATCHES], size_t *count)
{
    const char *at = cli->batches ? cli->batches : "1,8";
    *count = 0;
    for (;; at++) {
        char *end;
        unsigned long batch = *at >= '1' && *at <= '9' ? strtoul(at, &end, 10) : 0;
        if (!batch || batch > 1024 || *count == BENCH_BATCHES || (*end && *end != ','))
            return cli_fail_usage(cli,
                                  "--batches: expected numbers from 1 to 1024 with commas "
                                  "between, found '%s'",
                                  cli->batches);
        batches[(*count)++] = (uint32_t)batch;
        cli->batch = batch > cli->batch ? (uint32_t)batch : cli->batch;
        at = end;
        if (!*at)
            return CLI_DONE;
    }
}

static bool is_wanted(const struct cli *cli, enum vkclip_tower tower)
{
    const struct vkclip_tower_info *info =
        tower == VKCLIP_TOWER_TEXT ? &cli->info.text : &cli->info.image;
    return cli->tower ? cli->tower == tower + 1 : info->width > 0;
}

static int run_rows(struct cli *cli, const uint32_t *batches, size_t count, struct bench *bench)
{
    for (enum vkclip_tower tower = 0; tower <= VKCLIP_TOWER_TEXT; tower++)
        for (size_t i = 0; i < count && is_wanted(cli, tower); i++) {
            struct bench_row *row = &bench->rows[bench->count++];
            *row = (struct bench_row){.tower = tower, .batch = batches[i]};
            if (measure(cli, row))
                return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
        }
    bench->host_bytes = host_bytes();
    if (!bench_print(cli, bench))
        return CLI_FAILED;
    if (cli->svg && !bench_write_svg(cli, bench, cli->svg))
        return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    return CLI_DONE;
}

static int run_bench(struct cli *cli)
{
    struct bench_row rows[2 * BENCH_BATCHES] = {{0}};
    struct bench bench = {.rows = rows, .cold = {-1, -1}, .warm = {-1, -1}};
    uint32_t batches[BENCH_BATCHES];
    size_t count;
    int status = parse_batches(cli, batches, &count);
    if (!status)
        status = cli_open_model(cli, true);
    if (!status)
        status = cli_need(cli, cli->tower == 1, cli->tower == 2, false);
    if (status)
        return status;
    for (enum vkclip_tower tower = 0; tower <= VKCLIP_TOWER_TEXT; tower++)
        if (is_wanted(cli, tower) && !cli->only_speed)
            measure_start(cli, tower, &bench);
    vkclip_close_model(&cli->model);
    status = cli_open_model(cli, false);
    if (!status && (vkclip_get_device_info(cli->device, &bench.device) ||
                    (!cli->only_speed && vkclip_measure_peaks(cli->device, &bench.peaks))))
        status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    if (!status)
        status = run_rows(cli, batches, count, &bench);
    for (size_t i = 0; i < bench.count; i++)
        free(bench.rows[i].ops);
    return status;
}

static const struct cli_option options[] = {
    CLI_OPTION(0, "tower", "image|text", CLI_CHOICE, tower, "time one tower only"),
    CLI_OPTION(0, "batches", "LIST", CLI_TEXT, batches, "batch sizes, as 1,8,32 (1,8)"),
    CLI_OPTION(0, "seconds", "N", CLI_NUMBER, seconds, "for each batch size, at least 5 runs (2)"),
    CLI_OPTION(0, "profile", NULL, CLI_FLAG, profile, "add the device's time by op and shape"),
    CLI_OPTION(0, "only-speed", NULL, CLI_FLAG, only_speed, "leave out the peak and the start-up"),
    CLI_OPTION(0, "csv", NULL, CLI_FLAG, csv, "print CSV"),
    CLI_OPTION(0, "svg", "FILE", CLI_TEXT, svg, "plot items a second over batch size"),
    CLI_MODEL_OPTIONS,
    CLI_COMMON_OPTIONS,
    {0}};

const struct cli_command cli_bench = {
    .name = "bench",
    .summary = "time a model on this machine",
    .usage = "-m PATH [OPTION...]",
    .text =
        "Times the towers from preprocessed inputs on the host to embeddings there, one batch a\n"
        "run, texts of the whole context: items a second (median), arithmetic, and its share of\n"
        "the device's peak, which small kernels measure first. Also the memory, and the start-up:\n"
        "from a process without a driver to the first embedding, with empty caches and again.",
    .options = options,
    .run = run_bench,
};
