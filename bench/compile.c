/* SPDX-License-Identifier: MIT
 *
 * Lets a driver compile every variant and tile with the constants that the models' graphs give it,
 * and prints what the driver says of each pipeline. A pipeline is built in a process of its own
 * with a time limit, so that a crash or an endless loop of a compiler is a line of the table.
 * Nothing is computed, so drivers that run without their GPU can be asked too.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/error.h"
#include "base/hash.h"
#include "bench.h"
#include "runtime/launch.h"
#include "runtime/layout.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A pipeline may take this many seconds, by the clock, before its process is stopped. Good ones
 * take less than one second of processor time; the rest allows for a busy machine. */
#define LIMIT_SECONDS 120
#define MOST_SEEN 16384 /* number of choices that are remembered as compiled */

/* ---- What drivers say ------------------------------------------------------------------------ */

enum figure { REGISTERS, SPILLS, SCRATCH, SHARED, OCCUPANCY, INSTRUCTIONS, FIGURE_COUNT };

/* Gives the names under which Mesa's drivers count the figures. A figure is the sum of what a
 * driver gives. Spills are registers or instructions that store them, scratch and shared memory are
 * bytes, and occupancy is waves per SIMD (RADV), warps per SM (NVK), waves per core (Turnip) or
 * threads (Honeykrisp). */
static const struct {
    enum figure figure;
    const char *name;
} names[] = {
    {REGISTERS, "VGPRs"}, /* RADV */
    {SPILLS, "Spilled VGPRs"},
    {SPILLS, "Spilled SGPRs"},
    {SCRATCH, "Scratch size"},
    {SHARED, "LDS size"},
    {OCCUPANCY, "Subgroups per SIMD"},
    {REGISTERS, "Number of GPRs"}, /* NVK */
    {SPILLS, "Spills to memory"},
    {SPILLS, "Spills to reg"},
    {SCRATCH, "SLM size"},
    {OCCUPANCY, "Max warps/SM"},
    {INSTRUCTIONS, "Instruction count"},
    {REGISTERS, "Registers used"}, /* Turnip */
    {SPILLS, "STP Count"},
    {OCCUPANCY, "Max Waves Per Core"},
    {INSTRUCTIONS, "Instruction Count"},
    {REGISTERS, "GPRs"}, /* Honeykrisp */
    {SPILLS, "Spills"},
    {SCRATCH, "Scratch"},
    {OCCUPANCY, "Threads"},
    {INSTRUCTIONS, "Instructions"}, /* RADV and Honeykrisp */
};

/* Holds the result of a process, in memory that it shares with its parent. */
struct compiled {
    int error;
    double seconds; /* processor time */
    struct gpu_statistic statistics[64];
    size_t count;
};

static double sum_figure(const struct compiled *compiled, enum figure figure)
{
    double sum = 0;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        for (size_t k = 0; k < compiled->count && names[i].figure == figure; k++)
            if (!strcmp(compiled->statistics[k].name, names[i].name))
                sum += compiled->statistics[k].value;
    return sum;
}

/* ---- One pipeline ---------------------------------------------------------------------------- */

struct compiling {
    struct gpu *gpu;
    const struct options *options;
    struct compiled *compiled;
    size_t built, failed;
    uint64_t seen[MOST_SEEN];
    size_t seen_count;
};

static double processor_seconds(void)
{
    struct timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* Writes the forms of the newest pipeline into a file of --assembly. */
static int write_forms(const struct compiling *c, const struct gpu_pipeline *pipeline,
                       const char *name)
{
    char path[4096];
    snprintf(path, sizeof(path), "%s/%s.txt", c->options->assembly, name);
    FILE *file = fopen(path, "w");
    if (!file)
        return error_fail(VKCLIP_EIO, "%s: cannot write it", path);
    fprintf(file, "# %s, %s\n", gpu_info(c->gpu)->name, gpu_info(c->gpu)->driver);
    int error = gpu_pipeline_write_forms(c->gpu, pipeline, file);
    if (fclose(file) && !error)
        error = error_fail(VKCLIP_EIO, "%s: cannot write it", path);
    return error;
}

static void build_here(const struct compiling *c, struct gpu_pipeline *pipeline, const char *name)
{
    struct compiled *compiled = c->compiled;
    const double start = processor_seconds();
    compiled->error = gpu_pipeline_build(c->gpu, pipeline);
    compiled->seconds = processor_seconds() - start;
    if (!compiled->error)
        compiled->error =
            gpu_pipeline_statistics(c->gpu, pipeline, compiled->statistics,
                                    ARRAY_COUNT(compiled->statistics), &compiled->count);
    if (!compiled->error && c->options->assembly)
        compiled->error = write_forms(c, pipeline, name);
}

/* Builds the pipeline in a child process. Returns what went wrong, or NULL. */
static const char *build_apart(struct compiling *c, struct gpu_pipeline *pipeline, const char *name)
{
    *c->compiled = (struct compiled){0};
    fflush(NULL);
    const pid_t child = fork();
    if (child < 0)
        return "no-process";
    if (!child) {
        alarm(LIMIT_SECONDS);
        build_here(c, pipeline, name);
        _exit(0);
    }
    int status = 0;
    if (waitpid(child, &status, 0) != child)
        return "no-process";
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == SIGALRM ? "time-limit" : "crash";
    return c->compiled->error ? "refused" : NULL;
}

static void print_head(const struct options *options, const struct gpu *gpu)
{
    if (options->csv)
        printf("# %s, %s\nfirst,op,shape,x,w,kernel,tile,constants,result,registers,spills,"
               "scratch,shared,occupancy,instructions,seconds\n",
               gpu_info(gpu)->name, gpu_info(gpu)->driver);
    else
        printf("%-5s %-10s %-18s %-4s %-4s %-34s %-10s %9s %6s %7s %6s %9s %12s %7s\n", "first",
               "op", "shape", "x", "w", "kernel", "result", "registers", "spills", "scratch",
               "shared", "occupancy", "instructions", "seconds");
}

static void print_compiled(const struct compiling *c, const struct node *node, const char *shape,
                           const struct kernel_choice *choice, bool first,
                           const struct gpu_pipeline *pipeline, const char *result)
{
    const struct kernel *kernel = choice->kernel;
    const struct tile *tile = &choice->tile;
    char name[KERNEL_CHOICE_NAME];
    double figures[FIGURE_COUNT];
    uint32_t count = 0;
    const uint32_t *constants = gpu_pipeline_constants(pipeline, &count);
    kernels_choice_name(choice, name);
    for (int i = 0; i < FIGURE_COUNT; i++)
        figures[i] = sum_figure(c->compiled, (enum figure)i);
    if (c->options->csv) {
        printf("%d,%s,%s,%s,%s,%s,%ux%ux%u,", first, op_name(node->op), shape, type_name(kernel->x),
               type_name(kernel->w), name, tile->rows, tile->columns, tile->height);
        for (uint32_t i = 0; i < count; i++)
            printf("%s%u", i ? " " : "", constants[i]);
    } else
        printf("%-5s %-10s %-18s %-4s %-4s %-34s", first ? "*" : "", op_name(node->op), shape,
               type_name(kernel->x), type_name(kernel->w), name);
    printf(c->options->csv ? ",%s,%.0f,%.0f,%.0f,%.0f,%.0f,%.0f,%.2f\n"
                           : " %-10s %9.0f %6.0f %7.0f %6.0f %9.0f %12.0f %7.2f\n",
           result ? result : "built", figures[REGISTERS], figures[SPILLS], figures[SCRATCH],
           figures[SHARED], figures[OCCUPANCY], figures[INSTRUCTIONS], c->compiled->seconds);
}

/* ---- All pipelines --------------------------------------------------------------------------- */

/* Tells whether the choice was compiled before, for another node, and remembers it. */
static bool is_repeated(struct compiling *c, const struct kernel_choice *choice)
{
    const uint32_t form[] = {choice->listed_tile.rows, choice->listed_tile.columns,
                             choice->listed_tile.height, choice->listed_tile.width,
                             choice->listed_tile.walk};
    uint64_t hash = hash_bytes(0, &choice->kernel, sizeof(choice->kernel));
    hash = hash_bytes(hash, form, sizeof(form));
    for (size_t i = 0; i < c->seen_count; i++)
        if (c->seen[i] == hash)
            return true;
    if (c->seen_count < MOST_SEEN)
        c->seen[c->seen_count++] = hash;
    return false;
}

/* Names the file of --assembly for a choice, such as "0007-matmul-f32-f16-16x4x8-400x768x768". */
static void form_name(const struct compiling *c, const struct kernel_choice *choice,
                      const char *shape, char *name, size_t size)
{
    char tile[TILE_NAME];
    kernels_tile_name(&choice->tile, tile);
    snprintf(name, size, "%04zu-%s-%s-%s", c->built, choice->kernel->name, tile, shape);
    for (char *space = strchr(name, ' '); space; space = strchr(space, ' '))
        *space = '-';
}

static int compile_choice(struct compiling *c, const struct graph *graph, const struct node *node,
                          const char *shape, const struct kernel_choice *choice, bool first)
{
    struct gpu_range ranges[KERNEL_SLOTS] = {{0}};
    const struct gpu_pipeline *before = gpu_pipeline_newest(c->gpu);
    for (int i = 0; i < KERNEL_SLOTS; i++) {
        const int tensor = i == KERNEL_OUT ? node->out : node->in[i];
        if (tensor >= 0)
            ranges[i].size = layout_tensor_bytes(&graph->tensors[tensor]);
    }
    int error = launch_choice(c->gpu, NULL, graph, node, ranges, choice);
    struct gpu_pipeline *pipeline = gpu_pipeline_newest(c->gpu);
    if (error || pipeline == before) /* The device lacks the room, or a node had the pipeline. */
        return error == VKCLIP_EUNSUPPORTED ? VKCLIP_OK : error;
    char name[2 * KERNEL_CHOICE_NAME + KERNEL_SHAPE];
    form_name(c, choice, shape, name, sizeof(name));
    const char *result = build_apart(c, pipeline, name);
    c->built++;
    c->failed += result != NULL;
    print_compiled(c, node, shape, choice, first, pipeline, result);
    return VKCLIP_OK;
}

static int compile_node(struct compiling *c, const struct graph *graph, const struct node *node)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    char shape[KERNEL_SHAPE];
    const size_t count = kernels_choices(c->gpu, graph, node, choices);
    int error = VKCLIP_OK;
    kernels_node_shape(graph, node, shape);
    if (c->options->shape && !strstr(shape, c->options->shape))
        return VKCLIP_OK;
    for (size_t i = 0; i < count && !error; i++) {
        const struct kernel *kernel = choices[i].kernel;
        const bool tile = i && kernel == choices[i - 1].kernel;
        if (!options_want(c->options, kernel) || (i && c->options->first) ||
            (tile && !c->options->tiles) ||
            (c->options->reduced && is_repeated(c, &choices[i]) && (i || c->options->first)))
            continue;
        error = compile_choice(c, graph, node, shape, &choices[i], !i);
    }
    return error;
}

static int compile_graph(struct compiling *c, const struct graph *graph)
{
    int error = VKCLIP_OK;
    for (size_t i = 0; i < graph->node_count && !error; i++)
        error = compile_node(c, graph, &graph->nodes[i]);
    return error;
}

/* Compiles one graph, and then what its nodes may run if factors may be rounded to fp16. This is
 * the graph_fn of the command. */
static int compile_one(void *user, const char *arch, bool text, uint32_t batch,
                       const struct graph *graph)
{
    struct graph allowed = *graph;
    (void)arch, (void)text, (void)batch;
    allowed.compute_f16 = true;
    const int error = compile_graph(user, graph);
    return error ? error : compile_graph(user, &allowed);
}

/* Compiles what a search among vectors runs, as search/resident.c builds it. */
static int compile_search(struct compiling *c)
{
    const uint32_t queries[] = {1, 512}, vectors[] = {16384, 512}, mask = 16384 / 32;
    struct graph graph;
    graph_init(&graph, TYPE_F32);
    const int scores =
        graph_matmul(&graph, "scores", graph_input(&graph, "queries", TYPE_F32, 2, queries),
                     graph_weight(&graph, "vectors", LAYOUT_PANELS, 2, vectors), -1, 0, -1);
    graph_maxima(&graph, "maxima", scores, graph_input(&graph, "mask", TYPE_I32, 1, &mask));
    graph_pack(&graph, TYPE_F16);
    const int error = graph.error ? graph.error : compile_graph(c, &graph);
    graph_free(&graph);
    return error;
}

/* Compiles what prepares a picture of 640 x 480 pixels on the device, as encode/staging.c builds
 * it. */
static int compile_preparation(struct compiling *c)
{
    const uint32_t words[] = {480, 640 * 3 / 4}, taps[] = {224, 12}, values[] = {3, 256};
    struct graph graph;
    graph_init(&graph, TYPE_F32);
    const int pixels = graph_input(&graph, "pixels", TYPE_I32, 2, words);
    const int across = graph_input(&graph, "across", TYPE_I32, 2, taps);
    const int down = graph_input(&graph, "down", TYPE_I32, 2, taps);
    int x = graph_resample_bytes(&graph, "first", pixels, across, 640, 3, false, false);
    x = graph_resample(&graph, "second", x, down, true);
    graph_frame(&graph, "result", x, graph_input(&graph, "values", TYPE_F32, 2, values), 224, 0, 0,
                0);
    const int error = graph.error ? graph.error : compile_graph(c, &graph);
    graph_free(&graph);
    return error;
}

/* Compiles what explains a picture. */
static int compile_explanation(struct compiling *c, const struct config *config)
{
    const struct tower_features features = {.bytes = true, .explained = 1};
    struct graph graph;
    int error = tower_build(config, TOWER_IMAGE, &features, TYPE_F32, 1, &graph, NULL);
    if (!error)
        error = compile_graph(c, &graph);
    graph_free(&graph);
    return error;
}

/* Compiles what explains a picture, of the architectures that can be explained. A ViT is compiled
 * with the mean of its patches too, whose relevance is another op. */
static int compile_explanations(struct compiling *c)
{
    const char *archs = c->options->archs;
    char arch[64];
    int error = VKCLIP_OK;
    while (!error && options_next_word(&archs, arch)) {
        struct config config;
        error = graphs_find(arch, &config);
        if (error || !config.image.kind || tower_check_explained(arch, &config, 1))
            continue;
        error = compile_explanation(c, &config);
        config.image.pooling = POOL_MEAN;
        if (!error && config.image.kind == KIND_VIT)
            error = compile_explanation(c, &config);
    }
    return error;
}

/* Compiles one graph as it is. This is the graph_fn of training, whose factors are not rounded. */
static int compile_step(void *user, const char *arch, bool text, uint32_t batch,
                        const struct graph *graph)
{
    (void)arch, (void)text, (void)batch;
    return compile_graph(user, graph);
}

int bench_compile(const struct options *options)
{
    struct compiling *c = calloc(1, sizeof(*c));
    int error = c ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory");
    if (error)
        return error;
    c->options = options;
    c->compiled =
        mmap(NULL, sizeof(*c->compiled), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (c->compiled == MAP_FAILED)
        error = error_fail(VKCLIP_EMEMORY, "out of memory");
    if (!error)
        error = bench_open(options, true, &c->gpu, NULL);
    if (!error) {
        print_head(options, c->gpu);
        error = graphs_each(options, compile_one, c);
    }
    if (!error && options->search)
        error = compile_search(c);
    if (!error && options->search)
        error = compile_preparation(c);
    if (!error && options->training)
        error = graphs_each_step(options, gpu_caps(c->gpu), "16", compile_step, c);
    if (!error && options->training)
        error = compile_explanations(c);
    if (!error)
        fprintf(stderr, "%s (%s): %zu pipelines, %zu failed\n", gpu_info(c->gpu)->name,
                gpu_info(c->gpu)->driver, c->built, c->failed);
    if (!error && c->failed)
        error =
            error_fail(VKCLIP_EDEVICE, "%zu of %zu pipelines were not built", c->failed, c->built);
    fflush(stdout); /* Debian 12's RADV crashes when it closes a device that it only plays. */
    gpu_close(&c->gpu);
    free(c);
    return error;
}
