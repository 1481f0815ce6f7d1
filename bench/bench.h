/* SPDX-License-Identifier: MIT
 *
 * The options of vkclip-bench, the graphs that they name, and the commands.
 */
#ifndef VKCLIP_BENCH_H
#define VKCLIP_BENCH_H

#include "model/tower.h"
#include "runtime/kernels.h"

struct tuner;

struct options {
    const char *device, *model, *variant, *shape, *archs, *batches, *type, *weights, *assembly;
    bool csv, tiles, first, reduced, training, search, pairs;
};

/* Takes the next word of a list with commas between its words. Returns false at the end of the
 * list. */
bool options_next_word(const char **list, char word[64]);
bool options_parse_type(const char *text, enum type *type);
int options_parse_batch(const char *word, uint32_t *batch);
/* Tells whether --variant names a variant, or nothing. */
bool options_want(const struct options *options, const struct kernel *kernel);

/* Finds an architecture that `vkclip init` knows, or T5-XXL. */
int graphs_find(const char *arch, struct config *config);

typedef int graph_fn(void *user, const char *arch, bool text, uint32_t batch,
                     const struct graph *graph);
/* Makes the call for the towers of every architecture, with every batch size and type that the
 * options name. */
int graphs_each(const struct options *options, graph_fn *function, void *user);
/* Makes the call for steps of training of every architecture that has pictures, in both precisions,
 * if the capabilities allow them, and with batch norm's statistics computed and frozen. */
int graphs_each_step(const struct options *options, uint32_t caps, const char *batches,
                     graph_fn *function, void *user);

/* Opens the GPU that --device or the environment names, and a tuner for it unless `tuner` is NULL.
 * `statistics` asks the driver how it compiles pipelines. */
int bench_open(const struct options *options, bool statistics, struct gpu **gpu,
               struct tuner **tuner);

/* Each function runs a command. */
int bench_kernels(const struct options *options);
int bench_compile(const struct options *options);
int bench_search(const struct options *options);

#endif
