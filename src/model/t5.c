/* SPDX-License-Identifier: MIT
 *
 * The encoder of T5 (Raffel et al. 2020; Shazeer 2020 for the gates of version 1.1), of mT5 and of
 * UMT5, as transformers computes it: T5EncoderModel. It has RMS norms and no biases, scores are not
 * divided, and positions are a bias of the scores. Blocks of mT5 and T5 share the first block's
 * table of them. T5 has no embedding of a text: the last hidden state at the text's end stands for
 * it.
 */
#include "base/array.h"
#include "model/group.h"
#include "model/tower.h"

/* All published models have these sizes, and files of weights alone do not tell the second one. */
enum { BUCKETS = 32, FARTHEST = 128 };

enum { TOKENS, LN_FINAL, SHARED_POSITIONS };

/* In a shape, v is the size of the vocabulary, w the width, b the number of buckets, h that of the
 * heads, i the width of all heads, q three times that, m the MLP's width, f that of its first
 * product. */
static const struct tensor_row t5_rows[] = {
    [TOKENS] = {"token_embedding.weight", "vw", LAYOUT_ROWS, INITIAL_TOKENS, 0},
    [LN_FINAL] = {"ln_final.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    [SHARED_POSITIONS] = {"block.0.attn.relative.weight", "bh", LAYOUT_ROWS, INITIAL_WIDTH, 0},
};

enum { LN_1, QKV, OUT, LN_2, FC, PROJ, OWN_POSITIONS };

static const struct tensor_row block_rows[] = {
    [LN_1] = {"ln_1.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    [QKV] = {"attn.in_proj_weight", "qw", LAYOUT_PANELS, INITIAL_FAN_IN, 0},
    [OUT] = {"attn.out_proj.weight", "wi", LAYOUT_PANELS, INITIAL_RESIDUAL, 0},
    [LN_2] = {"ln_2.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    [FC] = {"mlp.c_fc.weight", "fw", LAYOUT_PANELS, INITIAL_HIDDEN, 0},
    [PROJ] = {"mlp.c_proj.weight", "wm", LAYOUT_PANELS, INITIAL_RESIDUAL, 0},
    [OWN_POSITIONS] = {"attn.relative.weight", "bh", LAYOUT_ROWS, INITIAL_WIDTH, 0},
};

/* Describes group 0, the tensors outside the blocks, or block number `index` - 1. Tables of
 * positions are the last rows. */
static bool describe_group(const struct config *config, uint32_t index, struct tensor_group *group)
{
    const struct config_tower *tower = &config->text;
    const uint64_t inner = (uint64_t)tower->heads * tower->head_width;
    if (index > tower->layers)
        return false;
    if (index) {
        *group = (struct tensor_group){.rows = block_rows,
                                       .count = ARRAY_COUNT(block_rows) - !tower->own_positions};
        snprintf(group->prefix, sizeof(group->prefix), "encoder.block.%u.", index - 1);
    } else {
        *group = (struct tensor_group){.prefix = "encoder.",
                                       .rows = t5_rows,
                                       .count = ARRAY_COUNT(t5_rows) - tower->own_positions};
    }
    group_set(group, 'v', config->vocabulary);
    group_set(group, 'w', tower->width);
    group_set(group, 'b', BUCKETS);
    group_set(group, 'h', tower->heads);
    group_set(group, 'i', inner);
    group_set(group, 'q', 3 * inner);
    group_set(group, 'm', tower->mlp);
    group_set(group, 'f', (uint64_t)tower->mlp * (tower->gated ? 2 : 1));
    group_set(group, 'l', tower->layers);
    return true;
}

/* Returns a size of a tensor of a block, or 0 if there is no such tensor. */
static uint32_t get_block_size(const struct tower_sizes *sizes, uint32_t block, size_t row,
                               unsigned dimension)
{
    char name[64];
    snprintf(name, sizeof(name), "encoder.block.%u.%s", block, block_rows[row].name);
    return sizes->get(sizes->checkpoint, name, dimension);
}

/* Reads everything: a file of weights alone says with its shapes which T5 it is. */
static void read_sizes(const struct tower_sizes *sizes, struct config *config)
{
    struct config_tower *tower = &config->text;
    tower->width = sizes->get(sizes->checkpoint, "encoder.token_embedding.weight", 1);
    tower->heads = get_block_size(sizes, 0, OWN_POSITIONS, 1);
    tower->head_width = tower->heads ? get_block_size(sizes, 0, QKV, 0) / 3 / tower->heads : 0;
    tower->mlp = get_block_size(sizes, 0, PROJ, 1);
    tower->gated = get_block_size(sizes, 0, FC, 0) != tower->mlp;
    tower->own_positions = get_block_size(sizes, 1, OWN_POSITIONS, 0);
    tower->layers = 0;
    while (get_block_size(sizes, tower->layers, LN_1, 0))
        tower->layers++;
    tower->activation = tower->gated ? VKCLIP_ACTIVATION_GELU_TANH : VKCLIP_ACTIVATION_RELU;
    tower->epsilon = 1e-6f;
    tower->projection = false;
    config->vocabulary = sizes->get(sizes->checkpoint, "encoder.token_embedding.weight", 0);
    config->text_embed_dim = tower->width;
    config->context = T5_CONTEXT;
    config->eos_token_id = 1;
    config->pad_token_id = 0;
}

static int check_sizes(const char *path, const struct config *config)
{
    const struct config_tower *tower = &config->text;
    const struct {
        const char *what;
        uint32_t size, limit;
    } limits[] = {
        {"width", tower->width, 16384},
        {"layers", tower->layers, 256},
        {"MLP width", tower->mlp, 65536},
        {"heads", tower->heads, 1024},
        {"head width", tower->head_width, 1024},
        {"context", config->context, T5_CONTEXT},
        {"vocabulary", config->vocabulary, 1 << 24},
    };
    int error = VKCLIP_OK;
    for (size_t i = 0; i < ARRAY_COUNT(limits) && !error; i++)
        error = tower_check_size(path, "text", limits[i].what, limits[i].size, limits[i].limit);
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
    lookups[0] = (struct tower_lookup){"encoder.token_embedding.weight", (uint64_t)ids[token]};
    return 1;
}

/* ---- The graph ------------------------------------------------------------------------------- */

static int append_norm(struct graph *graph, const char *result, int x,
                       const struct tensor_group *group, size_t row, float epsilon)
{
    return graph_rmsnorm(graph, result, x, group_weight(graph, group, row), epsilon);
}

static int append_product(struct graph *graph, const char *result, int x,
                          const struct tensor_group *group, size_t row, int residual)
{
    return graph_matmul(graph, result, x, group_weight(graph, group, row), -1,
                        VKCLIP_ACTIVATION_AUTO, residual);
}

static int append_positions(struct graph *graph, const struct tensor_group *group, size_t row,
                            uint32_t tokens)
{
    return graph_relative(graph, NULL, group_weight(graph, group, row), tokens, FARTHEST);
}

/* Appends x += attention(ln_1(x)), then x += mlp(ln_2(x)). */
static int append_block(struct graph *graph, const char *result, int x, int mask, int positions,
                        const struct config_tower *tower, const struct tensor_group *group)
{
    int y = append_norm(graph, NULL, x, group, LN_1, tower->epsilon);
    y = append_product(graph, NULL, y, group, QKV, -1);
    y = graph_attention_masked(graph, NULL, y, mask, positions, tower->heads, false, 1);
    x = append_product(graph, NULL, y, group, OUT, x);
    y = append_norm(graph, NULL, x, group, LN_2, tower->epsilon);
    y = append_product(graph, NULL, y, group, FC, -1);
    if (tower->gated)
        y = graph_gate(graph, NULL, y, tower->activation);
    else
        graph_relu(graph, y);
    return append_product(graph, result, y, group, PROJ, x);
}

/* Appends the blocks from number `first` up to number `end`. */
static int append_blocks(const struct config *config, struct graph *graph, int x, int mask,
                         int positions, uint32_t first, uint32_t end)
{
    const struct config_tower *tower = &config->text;
    struct tensor_group group;
    char result[64];
    for (uint32_t i = first; i < end; i++) {
        describe_group(config, i + 1, &group);
        snprintf(result, sizeof(result), "text.hidden.%u", i + 1);
        graph_begin_segment(graph);
        if (tower->own_positions)
            positions = append_positions(graph, &group, OWN_POSITIONS, config->context);
        x = append_block(graph, result, x, mask, positions, tower, &group);
    }
    graph_end_segment(graph);
    return x;
}

/* Appends what makes features of the tokens x. */
static int append_features(struct graph *graph, int x, const struct tensor_group *group,
                           const struct tower_features *features, float epsilon, int rows)
{
    if (features->pooled)
        x = graph_select(graph, NULL, x, rows);
    return features->norm ? append_norm(graph, NULL, x, group, LN_FINAL, epsilon) : x;
}

static void append_t5(const struct config *config, const struct tower_features *features,
                      uint32_t batch, struct graph *graph, struct tower_tensors *tensors)
{
    const struct config_tower *tower = &config->text;
    const uint32_t layer = features->wanted ? features->layer : tower->layers;
    const uint32_t shape[] = {batch, config->context, tower->width};
    struct tensor_group group;
    describe_group(config, 0, &group);
    tensors->input = graph_input(graph, "text.tokens", graph->type, 3, shape);
    tensors->mask = graph_input(graph, "text.mask", TYPE_I32, 2, shape);
    tensors->rows = graph_input(graph, "text.rows", TYPE_I32, 1, &batch);
    int positions = -1;
    if (!tower->own_positions)
        positions = append_positions(graph, &group, SHARED_POSITIONS, config->context);
    /* The blocks add to this copy in place, because nothing can be added to an input. */
    int x = graph_activate(graph, "text.hidden.0", tensors->input, VKCLIP_ACTIVATION_AUTO, false);
    x = append_blocks(config, graph, x, tensors->mask, positions, 0, layer);
    if (features->wanted)
        tensors->features =
            append_features(graph, x, &group, features, tower->epsilon, tensors->rows);
    if (features->wanted && !features->embedding)
        return;
    x = append_blocks(config, graph, x, tensors->mask, positions, layer, tower->layers);
    x = append_norm(graph, "text.final_norm", x, &group, LN_FINAL, tower->epsilon);
    tensors->embeddings = graph_select(graph, "text.pooled", x, tensors->rows);
    tensors->normalized = graph_normalize(graph, "text.normalized", tensors->embeddings);
}

const struct tower_row tower_t5 = {
    .tower = TOWER_TEXT,
    .prefixes = {"encoder."},
    .closed = "encoder.",
    .blocks = true,
    .token_table = "encoder.token_embedding.weight",
    .looks_up = true,
    .any_length = true,
    .fp32 = true,
    .read = read_sizes,
    .check = check_sizes,
    .describe = describe_tower,
    .group = describe_group,
    .look_up = look_up,
    .append = append_t5,
};
