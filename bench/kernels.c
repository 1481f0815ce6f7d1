/* SPDX-License-Identifier: MIT
 *
 * Times the variants of shaders/kernels.def over the shapes of the models' graphs.
 */
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/settings.h"
#include "bench.h"
#include "runtime/launch.h"
#include "runtime/layout.h"
#include "runtime/peak.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A variant is timed at least five times and for at least 0.1 s per shape. The median of five runs
 * is not moved by one interrupted run; more runs would only add to the minutes that all variants of
 * three models take. */
#define LEAST_RUNS 5
#define LEAST_SECONDS 0.1
#define MOST_SEEN 4096 /* number of forms of nodes that are remembered as timed */

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
        if (options_want(bench->options, choices[i].kernel) &&
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

/* Times one graph. This is the graph_fn of the command kernels. */
static int time_one(void *user, const char *arch, bool text, uint32_t batch,
                    const struct graph *graph)
{
    struct graph allowed = *graph;
    (void)arch, (void)text, (void)batch;
    allowed.compute_f16 = true;
    return time_graph(user, &allowed);
}

/* Times a step of training, whose factors are not rounded. */
static int time_step(void *user, const char *arch, bool text, uint32_t batch,
                     const struct graph *graph)
{
    (void)arch, (void)text, (void)batch;
    return time_graph(user, graph);
}

int bench_kernels(const struct options *options)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    int error = bench ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory");
    if (!error)
        error = bench_open(options, false, &bench->gpu, NULL);
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
        error = graphs_each(options, time_one, bench);
    }
    if (!error && options->training)
        error = graphs_each_step(options, gpu_caps(bench->gpu), options->batches, time_step, bench);
    if (bench)
        gpu_close(&bench->gpu);
    free(bench);
    return error;
}

/* Prints one graph. This is the graph_fn of the command graph. */
