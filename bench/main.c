/* SPDX-License-Identifier: MIT
 *
 * vkclip-bench times the variants of shaders/kernels.def (kernels.c), lets a driver compile all of
 * them (compile.c), prints the work and bytes of every node of a graph, and times training
 * (training.c). It uses the library's internals.
 */
#include "base/array.h"
#include "base/environment.h"
#include "base/error.h"
#include "base/settings.h"
#include "bench.h"
#include "runtime/tune.h"
#include "training.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int bench_open(const struct options *options, bool statistics, struct gpu **gpu,
               struct tuner **tuner)
{
    const struct vkclip_device_params params = {.size = sizeof(params), .device = options->device};
    struct settings settings;
    int error = settings_read(&params, &settings);
    settings.pipeline_statistics = statistics;
    if (!error)
        error = gpu_open(&settings, settings.device, gpu);
    if (!error && tuner)
        error = tune_open(*gpu, &settings, tuner);
    settings_free(&settings);
    return error;
}

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
    return graphs_each(options, print_one, NULL);
}

static int run_train(const struct options *options)
{
    const char *batches = options->batches;
    char word[64];
    struct gpu *gpu = NULL;
    struct tuner *tuner = NULL;
    enum type type;
    if (!options->model || !options_parse_type(options->type, &type) || type > TYPE_F16)
        return error_fail(VKCLIP_EINVALID, "train: expected --model PATH and --type f32 or f16");
    int error = bench_open(options, false, &gpu, &tuner);
    if (!error && options->csv)
        puts("batch,part,ms,share");
    while (!error && options_next_word(&batches, word)) {
        uint32_t batch = 0;
        error = options_parse_batch(word, &batch);
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
        "       vkclip-bench compile [OPTION...]   let the driver compile every variant that fits, "
        "each\n"
        "                                          in a process of its own, and print its "
        "statistics\n"
        "       vkclip-bench graph [OPTION...]     print the work and bytes of every node as CSV\n"
        "       vkclip-bench train [OPTION...]     time training: step, forward pass, ops\n"
        "       vkclip-bench search [OPTION...]    time searches of random vectors\n"
        "  --model PATH    the model to train: any that vkclip opens\n"
        "  --arch LIST     architectures, T5-XXL too (ViT-B-32,ViT-L-14,RN50)\n"
        "  --batches LIST  batch sizes (1,8)\n"
        "  --type LIST     types of activations: f32,f16 (f32; compile: both)\n"
        "  --weights LIST  types of matrices: f32,f16,q8,q4 (those of the activations; compile: "
        "all)\n"
        "  --variant LIST  only variants with one of these texts in \"SHADER X W\"\n"
        "  --shape TEXT    only shapes with this text in them, such as 50x768x3072; search: how "
        "many\n"
        "                  vectors of how many values (1000000x512)\n"
        "  --tiles         every tile of a variant instead of the first one\n"
        "  --first         compile: only the first choice of every node\n"
        "  --reduced       compile: each tile of a variant once, except that a node's first choice "
        "is\n"
        "                  compiled with every set of constants unless --first is given\n"
        "  --training      kernels, compile: also the graphs of training, in both precisions\n"
        "  --assembly FOLDER\n"
        "                  compile: write the driver's assembly of each pipeline into FOLDER\n"
        "  --search        compile: also the graphs of a search and of preparing a picture\n"
        "  --pairs         search: all pairs with a cosine of 0.99\n"
        "  --device NAME   the device, as vkclip takes it\n"
        "  --csv           print CSV\n",
        stderr);
    return 2;
}

static bool parse_options(int argc, char **argv, struct options *options)
{
    static const struct option longs[] = {
        {"arch", 1, NULL, 'a'},     {"batches", 1, NULL, 'b'}, {"type", 1, NULL, 't'},
        {"weights", 1, NULL, 'w'},  {"variant", 1, NULL, 'v'}, {"shape", 1, NULL, 's'},
        {"tiles", 0, NULL, 'l'},    {"device", 1, NULL, 'd'},  {"csv", 0, NULL, 'c'},
        {"model", 1, NULL, 'm'},    {"first", 0, NULL, '1'},   {"reduced", 0, NULL, 'R'},
        {"training", 0, NULL, 'T'}, {"search", 0, NULL, 'S'},  {"pairs", 0, NULL, 'P'},
        {"assembly", 1, NULL, 'A'}, {NULL, 0, NULL, 0}};
    bool *const flags[] = {
        ['l'] = &options->tiles,   ['c'] = &options->csv,      ['1'] = &options->first,
        ['R'] = &options->reduced, ['T'] = &options->training, ['S'] = &options->search,
        ['P'] = &options->pairs};
    const char **const texts[] = {
        ['a'] = &options->archs,   ['b'] = &options->batches, ['t'] = &options->type,
        ['w'] = &options->weights, ['v'] = &options->variant, ['s'] = &options->shape,
        ['d'] = &options->device,  ['m'] = &options->model,   ['A'] = &options->assembly};
    int letter = getopt_long(argc, argv, "", longs, NULL);
    while (letter != -1) {
        if (letter == '?')
            return false;
        if ((size_t)letter < ARRAY_COUNT(flags) && flags[letter])
            *flags[letter] = true;
        else
            *texts[letter] = optarg;
        letter = getopt_long(argc, argv, "", longs, NULL);
    }
    return true;
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name, *type, *weights, *batches; /* defaults */
        int (*run)(const struct options *options);
    } commands[] = {{"kernels", "f32", NULL, "1,8", bench_kernels},
                    /* The larger batch comes first, because its tiles are whole. */
                    {"compile", "f32,f16", "f32,f16,q8,q4", "8,1", bench_compile},
                    {"graph", "f32", NULL, "1,8", run_graph},
                    {"train", "f32", NULL, "1,8", run_train},
                    {"search", NULL, NULL, NULL, bench_search}};
    struct options options = {.archs = "ViT-B-32,ViT-L-14,RN50"};
    if (environment_read()) {
        fprintf(stderr, "%s\n", error_last());
        return 1;
    }
    if (!parse_options(argc, argv, &options) || optind + 1 != argc)
        return usage();
    for (size_t i = 0; i < ARRAY_COUNT(commands); i++) {
        if (strcmp(argv[optind], commands[i].name))
            continue;
        options.type = options.type ? options.type : commands[i].type;
        options.weights = options.weights ? options.weights : commands[i].weights;
        options.batches = options.batches ? options.batches : commands[i].batches;
        int error = commands[i].run(&options);
        if (error)
            fprintf(stderr, "vkclip-bench: %s\n", vkclip_last_error());
        return error ? 1 : 0;
    }
    return usage();
}
