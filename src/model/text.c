/* SPDX-License-Identifier: MIT
 *
 * The text transformer of CLIP (paper, section 2.4; clip/model.py, encode_text). Its attention is
 * causal, so that the token at a text's end has seen the whole text and nothing of the padding.
 * Later models pool another token, attend to all tokens of the context with the padding, or add a
 * bias to the projection, which files then store as torch.nn.Linear does.
 */
#include "base/array.h"
#include "model/blocks.h"

/* The LayerNorm has two rows, its gain and its bias. */
enum { TOKENS, POSITIONS, LN_FINAL, PROJECTION = LN_FINAL + 2, LINEAR };

/* In a shape, v is the size of the vocabulary, w the width, t the context, d the length of the
 * embedding. */
static const struct tensor_row text_rows[] = {
    [TOKENS] = {"token_embedding.weight", "vw", LAYOUT_ROWS, INITIAL_TOKENS, 0},
    [POSITIONS] = {"positional_embedding", "tw", LAYOUT_ROWS, INITIAL_POSITIONS, 0},
    [LN_FINAL] = {"ln_final.weight", "w", LAYOUT_ROWS, INITIAL_ONE, TENSOR_FINAL},
    {"ln_final.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_FINAL},
    [PROJECTION] = {"text_projection", "wd", LAYOUT_PANELS_KN, INITIAL_WIDTH,
                    TENSOR_DELICATE | TENSOR_HEAD},
    [LINEAR] = {"text_projection.weight", "dw", LAYOUT_PANELS, INITIAL_FAN_IN,
                TENSOR_DELICATE | TENSOR_HEAD},
    {"text_projection.bias", "d", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_HEAD},
};

/* Describes the tensors outside the blocks. There is one of two kinds of projections, or none. */
static void outer_group(const struct config *config, struct tensor_group *group)
{
    const struct config_tower *tower = &config->text;
    *group = (struct tensor_group){.rows = text_rows, .count = ARRAY_COUNT(text_rows)};
    if (!tower->projection || tower->projection_bias)
        group_leave_out(group, PROJECTION, 1);
    if (!tower->projection || !tower->projection_bias)
        group_leave_out(group, LINEAR, 2);
    group_set(group, 'v', config->vocabulary);
    group_set(group, 'w', config->text.width);
    group_set(group, 't', config->context);
    group_set(group, 'd', config->text_embed_dim);
}

static bool describe_group(const struct config *config, uint32_t index, struct tensor_group *group)
{
    if (index > config->text.layers)
        return false;
    if (index)
        block_group(&config->text, "", index - 1, group);
    else
        outer_group(config, group);
    return true;
}

static void read_sizes(const struct tower_sizes *sizes, struct config *config)
{
    const void *checkpoint = sizes->checkpoint;
    block_read_sizes(sizes, "", &config->text);
    config->text.width = sizes->get(checkpoint, "ln_final.weight", 0);
    config->context = sizes->get(checkpoint, "positional_embedding", 0);
    config->vocabulary = sizes->get(checkpoint, "token_embedding.weight", 0);
    config->text_embed_dim = sizes->get(checkpoint, "text_projection", 1);
    config->text.projection_bias = sizes->get(checkpoint, "text_projection.bias", 0) > 0;
    if (config->text.projection_bias)
        config->text_embed_dim = sizes->get(checkpoint, "text_projection.bias", 0);
}

static int check_sizes(const char *path, const struct config *config)
{
    int error = tower_check_widths(path, "text", &config->text, config->text_embed_dim);
    if (!error)
        error = tower_check_size(path, "text", "context", config->context, 4096);
    if (!error)
        error = tower_check_size(path, "text", "vocabulary", config->vocabulary, 1 << 24);
    return error;
}

static void describe_tower(const struct config *config, struct vkclip_tower_info *info)
{
    info->positions = config->context;
}

static unsigned look_up(const struct config *config, const int32_t *ids, uint32_t token,
                        struct tower_lookup *lookups)
{
    (void)config;
    lookups[0] = (struct tower_lookup){"token_embedding.weight", (uint64_t)ids[token]};
    lookups[1] = (struct tower_lookup){"positional_embedding", token};
    return 2;
}

/* Appends the vectors of tokens, from ids or as the input. */
static int append_tokens(const struct config *config, uint32_t batch, struct graph *graph,
                         const struct tensor_group *group, struct tower_tensors *tensors)
{
    const uint32_t shape[] = {batch, config->context, config->text.width};
    /* Training needs the whole table on the device, because its gradient is there. */
    const bool looks_up = tower_looks_up(config) && !graph->training;
    if (looks_up) {
        tensors->input = graph_input(graph, "text.tokens", graph->type, 3, shape);
        /* The blocks add to this copy in place, because nothing can be added to an input. */
        return graph_activate(graph, "text.hidden.0", tensors->input, VKCLIP_ACTIVATION_AUTO,
                              false);
    }
    tensors->input = graph_input(graph, "text.ids", TYPE_I32, 2, shape);
    const int tokens = group_weight(graph, group, TOKENS);
    const int positions = group_weight(graph, group, POSITIONS);
    return graph_embedding(graph, "text.hidden.0", tensors->input, tokens, positions);
}

static void append_text(const struct config *config, const struct tower_features *features,
                        uint32_t batch, struct graph *graph, struct tower_tensors *tensors)
{
    const uint32_t shape[] = {batch, config->context};
    struct tensor_group group;
    struct block_tower tower = {.stem = "text",
                                .prefix = "",
                                .sizes = &config->text,
                                .group = &group,
                                .norm = LN_FINAL,
                                .projection = config->text.projection_bias ? LINEAR : PROJECTION,
                                .causal = !config->text.bidirectional,
                                .mask = -1};
    outer_group(config, &group);
    int x = append_tokens(config, batch, graph, &group, tensors);
    tower.rows = tensors->rows = graph_input(graph, "text.rows", TYPE_I32, 1, &batch);
    if (features->masked)
        tower.mask = tensors->mask = graph_input(graph, "text.mask", TYPE_I32, 2, shape);
    x = block_transformer(graph, x, &tower, features, tensors);
    if (x < 0)
        return;
    x = block_layernorm(graph, features->hidden ? "text.final_norm" : "text.pooled", x, &group,
                        LN_FINAL, config->text.epsilon);
    if (features->hidden)
        x = graph_select(graph, "text.pooled", x, tensors->rows);
    block_embed(graph, x, &tower, tensors);
}

const struct tower_row tower_text = {
    .tower = TOWER_TEXT,
    .prefixes = {"transformer.", "token_embedding."},
    .closed = "transformer.",
    .reserved = {"positional_embedding", "token_embedding.", "ln_final.", "text_projection"},
    .blocks = true,
    .lock_groups = true,
    .token_table = "token_embedding.weight",
    .read = read_sizes,
    .check = check_sizes,
    .describe = describe_tower,
    .group = describe_group,
    .look_up = look_up,
    .append = append_text,
};
