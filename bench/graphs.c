/* SPDX-License-Identifier: MIT
 *
 * Builds the graphs that the options of vkclip-bench name, so that shapes come from the graphs and
 * not from a separate list.
 */
#include "bench.h"
#include "base/array.h"
#include "base/error.h"
#include "model/arch.h"
#include "train/pass.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The encoder of T5 version 1.1 XXL. Its ops are in no architecture that vkclip makes itself. */
static const struct config t5_xxl = {.text = {.kind = KIND_T5,
                                              .width = 4096,
                                              .layers = 24,
                                              .heads = 64,
                                              .mlp = 10240,
                                              .activation = VKCLIP_ACTIVATION_GELU_TANH,
                                              .epsilon = 1e-6f,
                                              .head_width = 64,
                                              .gated = true},
                                     .context = T5_CONTEXT,
                                     .vocabulary = 32128,
                                     .text_embed_dim = 4096,
                                     .eos_token_id = 1};

int graphs_find(const char *arch, struct config *config)
{
    if (strcmp(arch, "T5-XXL") != 0)
        return arch_find(arch, config);
    *config = t5_xxl;
    return VKCLIP_OK;
}

static int make_graph(const struct config *config, bool text, uint32_t batch, enum type type,
                      enum type weights, struct graph *graph)
{
    int error =
        tower_build(config, text ? TOWER_TEXT : TOWER_IMAGE, NULL, type, batch, graph, NULL);
    if (!error)
        graph_pack(graph, weights);
    return error;
}

bool options_next_word(const char **list, char word[64])
{
    const size_t length = strcspn(*list, ",");
    snprintf(word, 64, "%.*s", (int)length, *list);
    *list += length;
    if (**list == ',')
        ++*list;
    return length > 0;
}

bool options_parse_type(const char *text, enum type *type)
{
    static const enum type types[] = {TYPE_F32, TYPE_F16, TYPE_Q8, TYPE_Q4};
    for (size_t i = 0; i < ARRAY_COUNT(types); i++)
        if (!strcmp(type_name(types[i]), text)) {
            *type = types[i];
            return true;
        }
    return false;
}

bool options_want(const struct options *options, const struct kernel *kernel)
{
    char variant[96];
    snprintf(variant, sizeof(variant), "%s %s %s", kernel->shader, type_name(kernel->x),
             type_name(kernel->w));
    const char *texts = options->variant;
    char text[64];
    bool wanted = !texts;
    while (!wanted && options_next_word(&texts, text))
        wanted = strstr(variant, text);
    return wanted;
}

/* graphs_each makes this call for every graph. */
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
    if (!options_parse_type(type_word, &type) || !options_parse_type(weights_word, &weights))
        return error_fail(VKCLIP_EINVALID,
                          "expected types among f32, f16, q8 and q4, found type %s, weights %s",
                          type_word, weights_word);
    int error = graphs_find(arch, &config);
    if (error || !config_tower(&config, text ? TOWER_TEXT : TOWER_IMAGE)->kind)
        return error;
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
    while (!error && options_next_word(&types, type)) {
        const char *weights = options->weights ? options->weights : type;
        while (!error && options_next_word(&weights, weight))
            error = call_graph(call, arch, text, batch, type, weight);
    }
    return error;
}

int options_parse_batch(const char *word, uint32_t *batch)
{
    const int number = atoi(word);
    if (number < 1)
        return error_fail(VKCLIP_EINVALID, "batch %s: expected a number from 1 up", word);
    *batch = (uint32_t)number;
    return VKCLIP_OK;
}

int graphs_each(const struct options *options, graph_fn *function, void *user)
{
    const struct graph_call call = {function, user};
    const char *archs = options->archs;
    char arch[64], word[64];
    int error = VKCLIP_OK;
    while (!error && options_next_word(&archs, arch)) {
        const char *batches = options->batches;
        while (!error && options_next_word(&batches, word)) {
            uint32_t batch = 0;
            error = options_parse_batch(word, &batch);
            for (int text = 0; text < 2 && !error; text++)
                error = each_storage(options, &call, arch, text, batch);
        }
    }
    return error;
}

/* Makes the call for one step of training with its optimiser, which here updates one range of
 * weights and its averages. */
static int call_step(const struct graph_call *call, const char *arch, const struct config *config,
                     const struct train_params *params)
{
    struct optimiser_range range = {.elements = 1 << 20, .decayed = true};
    struct pass pass;
    pass_build_whole(config, params, &pass);
    if (!pass.graph.error) {
        const struct optimiser optimiser =
            optimiser_append(&pass.graph, params->adamw, &range, 1, pass.tensors.logit_scale);
        optimiser_append_averages(&pass.graph, &optimiser, 0.9999f, &range, 1);
    }
    int error = pass.graph.error;
    if (!error)
        error = call->function(call->user, arch, false, params->batch, &pass.graph);
    pass_close(&pass);
    return error;
}

int graphs_each_step(const struct options *options, uint32_t caps, const char *batches,
                     graph_fn *function, void *user)
{
    const struct graph_call call = {function, user};
    const char *archs = options->archs;
    char arch[64], word[64];
    int error = VKCLIP_OK;
    while (!error && options_next_word(&archs, arch)) {
        struct config config;
        const char *left = batches;
        error = graphs_find(arch, &config);
        while (!error && config.image.kind && options_next_word(&left, word)) {
            struct train_params params = {0};
            error = options_parse_batch(word, &params.batch);
            for (int form = 0; form < 4 && !error; form++) {
                params.mixed = form & 1;
                params.freeze_bn_stats = form & 2;
                if (caps & CAP_F16 || !params.mixed)
                    error = call_step(&call, arch, &config, &params);
            }
        }
    }
    return error;
}
