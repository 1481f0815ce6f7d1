/* SPDX-License-Identifier: MIT
 *
 * vkclip-bench times the variants of shaders/kernels.def over the shapes of the models' graphs,
 * prints the work and bytes of every node of a graph, and times training (training.c). It uses the
 * library's internals, so that shapes come from the graphs and not from a separate list.
 */
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/settings.h"
#include "model/arch.h"
#include "runtime/kernels.h"
#include "runtime/launch.h"
#include "runtime/layout.h"
#include "model/tower.h"
#include "runtime/peak.h"
#include "runtime/tune.h"
#include "training.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A variant is timed at least five times and for at least 0.1 s per shape. The median of five runs
 * is not moved by one interrupted run; more runs would only add to the minutes that all variants of
 * three models take. */
#define LEAST_RUNS 5
#define LEAST_SECONDS 0.1
#define MOST_SEEN 4096 /* number of forms of nodes that are remembered as timed */

struct options {
    const char *device, *model, *variant, *shape, *archs, *batches, *type, *weights;
    bool csv, tiles;
};

/* ---- Graphs ---------------------------------------------------------------------------------- */

static int make_graph(const struct config *config, bool text, uint32_t batch, enum type type,
                      enum type weights, struct graph *graph)
{
    int error = tower_build(config, text ? TOWER_TEXT : TOWER_IMAGE, type, batch, graph, NULL);
    if (!error)
        graph_pack(graph, weights);
    return error;
}

/* Takes the next word of a list with commas between its words. Returns false at the end of the
 * list. */
static bool next_word(const char **list, char word[64])
{
    const size_t length = strcspn(*list, ",");
    snprintf(word, 64, "%.*s", (int)length, *list);
    *list += length;
    if (**list == ',')
        ++*list;
    return length > 0;
}

static bool parse_type(const char *text, enum type *type)
{
    static const enum type types[] = {TYPE_F32, TYPE_F16, TYPE_Q8, TYPE_Q4};
    for (size_t i = 0; i < ARRAY_COUNT(types); i++)
        if (!strcmp(type_name(types[i]), text)) {
            *type = types[i];
            return true;
        }
    return false;
}

/* ---- One variant and shape ------------------------------------------------------------------- */

/* Runs the commands once. *seconds becomes the device's time for all dispatches, or the host's time
 * if the device has no timestamps. */
static int run_once(struct gpu_commands *commands, bool timed, double *seconds)
{
    const double start = clock_seconds();
    int error = gpu_commands_run(commands);
    *seconds = clock_seconds() - start;
    if (error || !timed)
        return error;
    double *times = calloc(gpu_commands_dispatches(commands) + 1, sizeof(*times));
    if (!times)
        return error_fail(VKCLIP_EMEMORY, "out of memory for times");
    error = gpu_commands_read_times(commands, times);
    *seconds = 0;
    for (size_t i = 0; i < gpu_commands_dispatches(commands); i++)
        *seconds += times[i];
    free(times);
    return error;
}

static int time_choice(struct gpu *gpu, const struct graph *graph, const struct node *node,
                       const struct gpu_range ranges[KERNEL_SLOTS],
                       const struct kernel_choice *choice, double *seconds)
{
    struct gpu_commands *commands;
    double times[256];
    size_t count = 0;
    int error = gpu_commands_create(gpu, &commands);
    bool timed = !error && !gpu_commands_time(commands);
    if (!error)
        error = launch_choice(gpu, commands, graph, node, ranges, choice);
    if (!error)
        error = gpu_commands_end(commands);
    if (!error)
        error = run_once(commands, timed, seconds);
    const double start = clock_seconds();
    while (!error && count < ARRAY_COUNT(times) &&
           (count < LEAST_RUNS || clock_seconds() - start < LEAST_SECONDS))
        error = run_once(commands, timed, &times[count++]);
    if (!error) {
        qsort(times, count, sizeof(*times), array_compare_doubles);
        *seconds = times[count / 2];
    }
    gpu_commands_destroy(&commands);
    return error;
}

/* Makes memory for a tensor, filled with ids of 0, or with bits that mean a small number in every
 * type that a kernel may read. */
static int make_range(struct gpu *gpu, const struct tensor *tensor, struct gpu_range *range)
{
    const uint64_t bytes = (layout_tensor_bytes(tensor) + 15) / 16 * 16;
    struct gpu_buffer *host = NULL;
    int error = gpu_buffer_create(gpu, GPU_UPLOAD, bytes, &host);
    *range = (struct gpu_range){NULL, 0, bytes};
    if (!error)
        error = gpu_buffer_create(gpu, GPU_DEVICE, bytes, &range->buffer);
    if (!error) {
        uint32_t *words = gpu_buffer_map(host);
        for (uint64_t i = 0; i < bytes / 4; i++)
            words[i] = tensor->type == TYPE_I32 ? 0 : 0x3c003c00;
        error = gpu_copy(gpu, (struct gpu_range){host, 0, bytes}, *range);
    }
    gpu_buffer_destroy(gpu, &host);
    return error;
}

struct bench {
    struct gpu *gpu;
    struct vkclip_peaks peaks;
    const struct options *options;
    uint64_t seen[MOST_SEEN]; /* hashes of the forms of nodes that were timed */
    size_t seen_count;
};

static void print_choice(const struct bench *bench, const struct graph *graph,
                         const struct node *node, const char *shape,
                         const struct kernel_choice *choice, double seconds)
{
    char name[KERNEL_CHOICE_NAME];
    const double operations = node_work(graph, node) / seconds;
    const double bytes = (double)kernels_node_bytes(graph, node) / seconds;
    const char *x = type_name(choice->kernel->x), *w = type_name(choice->kernel->w);
    kernels_choice_name(choice, name);
    printf(bench->options->csv ? "%s,%s,%s,%s,%s,%.4f,%.2f,%.2f,%.4f,%.4f\n"
                               : "%-10s %-18s %-4s %-4s %-30s %10.4f %9.2f %8.2f %7.4f %7.4f\n",
           op_name(node->op), shape, x, w, name, seconds * 1e3, operations / 1e9, bytes / 1e9,
           operations / bench->peaks.flops, bytes / bench->peaks.bytes);
    fflush(stdout);
}

static bool is_wanted(const struct options *options, const struct kernel *kernel)
{
    char variant[96];
    snprintf(variant, sizeof(variant), "%s %s %s", kernel->shader, type_name(kernel->x),
             type_name(kernel->w));
    return !options->variant || strstr(variant, options->variant);
}

/* Times every variant that fits a node, with its first tile or with all of them. */
static int time_node(struct bench *bench, const struct graph *graph, const struct node *node,
                     const char *shape)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    struct gpu_range ranges[KERNEL_SLOTS] = {{0}};
    const size_t count = kernels_choices(bench->gpu, graph, node, choices);
    size_t wanted = 0;
    int error = VKCLIP_OK;
    for (size_t i = 0; i < count; i++)
        if (is_wanted(bench->options, choices[i].kernel) &&
            (bench->options->tiles || !i || choices[i].kernel != choices[i - 1].kernel))
            choices[wanted++] = choices[i];
    for (int i = 0; i < KERNEL_SLOTS && wanted && !error; i++) {
        int tensor = i == KERNEL_OUT ? node->out : node->in[i];
        if (tensor >= 0)
            error = make_range(bench->gpu, &graph->tensors[tensor], &ranges[i]);
    }
    for (size_t i = 0; i < wanted && !error; i++) {
        double seconds;
        error = time_choice(bench->gpu, graph, node, ranges, &choices[i], &seconds);
        if (!error)
            print_choice(bench, graph, node, shape, &choices[i], seconds);
        else if (error == VKCLIP_EDEVICE) /* This driver cannot build the variant. */
            error = VKCLIP_OK;
    }
    for (int i = 0; i < KERNEL_SLOTS; i++)
        gpu_buffer_destroy(bench->gpu, &ranges[i].buffer);
    return error;
}

/* Tells whether no node of the same form was timed before, in this graph or another. */
static bool is_new(struct bench *bench, const struct graph *graph, const struct node *node,
                   const char *shape)
{
    const struct tensor *x = &graph->tensors[node->in[0]], *out = &graph->tensors[node->out];
    const bool attends = graph_attends(node->op);
    const uint32_t form[] = {node->op, (uint32_t)out->type, attends ? node->attention.heads : 0,
                             attends && node->attention.causal,
                             node->in[1] < 0 ? 0 : (uint32_t)graph->tensors[node->in[1]].type};
    uint64_t hash = hash_bytes(0, form, sizeof(form));
    hash = hash_bytes(hash, shape, strlen(shape));
    hash = hash_bytes(hash, x->shape, x->rank * sizeof(*x->shape));
    for (size_t i = 0; i < bench->seen_count; i++)
        if (bench->seen[i] == hash)
            return false;
    if (bench->seen_count < MOST_SEEN)
        bench->seen[bench->seen_count++] = hash;
    return true;
}

static int time_graph(struct bench *bench, const struct graph *graph)
{
    int error = VKCLIP_OK;
    for (size_t i = 0; i < graph->node_count && !error; i++) {
        const struct node *node = &graph->nodes[i];
        char shape[KERNEL_SHAPE];
        kernels_node_shape(graph, node, shape);
        if ((!bench->options->shape || strstr(shape, bench->options->shape)) &&
            is_new(bench, graph, node, shape))
            error = time_node(bench, graph, node, shape);
    }
    return error;
}

/* ---- The commands ---------------------------------------------------------------------------- */

typedef int graph_fn(void *user, const char *arch, bool text, uint32_t batch,
                     const struct graph *graph);

/* each_graph makes this call for every graph. */
struct graph_call {
    graph_fn *function;
    void *user;
};

/* Makes the call for one tower and one pair of types, which are words of the options. */
static int call_graph(const struct graph_call *call, const char *arch, bool text, uint32_t batch,
                      const char *type_word, const char *weights_word)
{
    struct config config;
    struct graph graph = {0};
    enum type type, weights;
    if (!parse_type(type_word, &type) || !parse_type(weights_word, &weights))
        return error_fail(VKCLIP_EINVALID,
                          "expected types among f32, f16, q8 and q4, found type %s, weights %s",
                          type_word, weights_word);
    int error = arch_find(arch, &config);
    if (!error)
        error = make_graph(&config, text, batch, type, weights, &graph);
    if (!error)
        error = call->function(call->user, arch, text, batch, &graph);
    graph_free(&graph);
    return error;
}

/* Makes the call for one tower with every type that the options name. Weights have the type of the
 * activations unless the options name other types. */
static int each_storage(const struct options *options, const struct graph_call *call,
                        const char *arch, bool text, uint32_t batch)
{
    const char *types = options->type;
    char type[64], weight[64];
    int error = VKCLIP_OK;
    while (!error && next_word(&types, type)) {
        const char *weights = options->weights ? options->weights : type;
        while (!error && next_word(&weights, weight))
            error = call_graph(call, arch, text, batch, type, weight);
    }
    return error;
}

static int parse_batch(const char *word, uint32_t *batch)
{
    const int number = atoi(word);
    if (number < 1)
        return error_fail(VKCLIP_EINVALID, "batch %s: expected a number from 1 up", word);
    *batch = (uint32_t)number;
    return VKCLIP_OK;
}

/* Makes the call for both towers of every architecture, with every batch size and type that the
 * options name. */
static int each_graph(const struct options *options, graph_fn *function, void *user)
{
    const struct graph_call call = {function, user};
    const char *archs = options->archs;
    char arch[64], word[64];
    int error = VKCLIP_OK;
    while (!error && next_word(&archs, arch)) {
        const char *batches = options->batches;
        while (!error && next_word(&batches, word)) {
            uint32_t batch = 0;
            error = parse_batch(word, &batch);
            for (int text = 0; text < 2 && !error; text++)
                error = each_storage(options, &call, arch, text, batch);
        }
    }
    return error;
}

/* Times one graph. This is the graph_fn of the command kernels. */
static int time_one(void *user, const char *arch, bool text, uint32_t batch,
                    const struct graph *graph)
{
    (void)arch, (void)text, (void)batch;
    return time_graph(user, graph);
}

/* Opens the GPU that --device or the environment names, and a tuner for it unless `tuner` is NULL.
 */
static int open_gpu(const char *device, struct gpu **gpu, struct tuner **tuner)
{
    const struct vkclip_device_params params = {.device = device};
    struct settings settings;
    int error = settings_read(&params, &settings);
    if (!error)
        error = gpu_open(&settings, settings.device, gpu);
    if (!error && tuner)
        error = tune_open(*gpu, &settings, tuner);
    settings_free(&settings);
    return error;
}

static int run_kernels(const struct options *options)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    int error = bench ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory");
    if (!error)
        error = open_gpu(options->device, &bench->gpu, NULL);
    if (!error)
        error = peak_measure(bench->gpu, &bench->peaks);
    if (!error) {
        bench->options = options;
        fprintf(stderr, "%s: %.1f GFLOP/s (%s), copy %.1f GB/s\n", gpu_info(bench->gpu)->name,
                bench->peaks.flops / 1e9, bench->peaks.how, bench->peaks.bytes / 1e9);
        if (options->csv)
            puts("op,shape,x,w,kernel,ms,gflops,gbytes_per_s,share_of_flops,share_of_bytes");
        else
            printf("%-10s %-18s %-4s %-4s %-30s %10s %9s %8s %7s %7s\n", "op", "shape", "x", "w",
                   "kernel", "ms", "GFLOP/s", "GB/s", "/ peak", "/ copy");
        error = each_graph(options, time_one, bench);
    }
    if (bench)
        gpu_close(&bench->gpu);
    free(bench);
    return error;
}

/* Prints one graph. This is the graph_fn of the command graph. */
static int print_one(void *user, const char *arch, bool text, uint32_t batch,
                     const struct graph *graph)
{
    (void)user;
    for (size_t i = 0; i < graph->node_count; i++) {
        const struct node *node = &graph->nodes[i];
        char shape[KERNEL_SHAPE];
        kernels_node_shape(graph, node, shape);
        printf("%s,%s,%u,%s,%s,%.0f,%llu\n", arch, text ? "text" : "image", batch,
               op_name(node->op), shape, node_work(graph, node),
               (unsigned long long)kernels_node_bytes(graph, node));
    }
    return VKCLIP_OK;
}

static int run_graph(const struct options *options)
{
    puts("arch,tower,batch,op,shape,operations,bytes");
    return each_graph(options, print_one, NULL);
}

static int run_train(const struct options *options)
{
    const char *batches = options->batches;
    char word[64];
    struct gpu *gpu = NULL;
    struct tuner *tuner = NULL;
    enum type type;
    if (!options->model || !parse_type(options->type, &type) || type > TYPE_F16)
        return error_fail(VKCLIP_EINVALID, "train: expected --model PATH and --type f32 or f16");
    int error = open_gpu(options->device, &gpu, &tuner);
    if (!error && options->csv)
        puts("batch,part,ms,share");
    while (!error && next_word(&batches, word)) {
        uint32_t batch = 0;
        error = parse_batch(word, &batch);
        if (!error)
            error = bench_train(gpu, tuner, options->model, batch, type == TYPE_F16, options->csv);
    }
    tune_close(&tuner);
    gpu_close(&gpu);
    return error;
}

static int usage(void)
{
    fputs(
        "Usage: vkclip-bench kernels [OPTION...]   time every variant of a kernel that fits\n"
        "       vkclip-bench graph [OPTION...]     print the work and bytes of every node as CSV\n"
        "       vkclip-bench train [OPTION...]     time training: step, forward pass, ops\n"
        "  --model PATH    the model to train: any that vkclip opens\n"
        "  --arch LIST     architectures (ViT-B-32,ViT-L-14,RN50)\n"
        "  --batches LIST  batch sizes (1,8)\n"
        "  --type LIST     types of activations: f32,f16 (f32)\n"
        "  --weights LIST  types of matrices: f32,f16,q8,q4 (those of the activations)\n"
        "  --variant TEXT  only variants with this text in \"SHADER X W\"\n"
        "  --shape TEXT    only shapes with this text in them, such as 50x768x3072\n"
        "  --tiles         every tile of a variant instead of the first one\n"
        "  --device NAME   the device, as vkclip takes it\n"
        "  --csv           print CSV\n",
        stderr);
    return 2;
}

static bool parse_options(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {
        {"arch", 1, NULL, 'a'},    {"batches", 1, NULL, 'b'}, {"type", 1, NULL, 't'},
        {"weights", 1, NULL, 'w'}, {"variant", 1, NULL, 'v'}, {"shape", 1, NULL, 's'},
        {"tiles", 0, NULL, 'l'},   {"device", 1, NULL, 'd'},  {"csv", 0, NULL, 'c'},
        {"model", 1, NULL, 'm'},   {NULL, 0, NULL, 0}};
    const char **const texts[] = {
        ['a'] = &options->archs,   ['b'] = &options->batches, ['t'] = &options->type,
        ['w'] = &options->weights, ['v'] = &options->variant, ['s'] = &options->shape,
        ['d'] = &options->device,  ['m'] = &options->model};
    int letter = getopt_long(argc, argv, "", longs, NULL);
    while (letter != -1) {
        if (letter == '?')
            return false;
        if (letter == 'l')
            options->tiles = true;
        else if (letter == 'c')
            options->csv = true;
        else
            *texts[letter] = optarg;
        letter = getopt_long(argc, argv, "", longs, NULL);
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(const struct options *options);
    } commands[] = {{"kernels", run_kernels}, {"graph", run_graph}, {"train", run_train}};
    struct options options = {.archs = "ViT-B-32,ViT-L-14,RN50", .batches = "1,8", .type = "f32"};
    if (!parse_options(argc, argv, &options) || optind + 1 != argc)
        return usage();
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        if (strcmp(argv[optind], commands[i].name))
            continue;
        int error = commands[i].run(&options);
        if (error)
            fprintf(stderr, "vkclip-bench: %s\n", vkclip_last_error());
        return error ? 1 : 0;
    }
    return usage();
}
