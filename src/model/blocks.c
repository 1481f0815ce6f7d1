/* SPDX-License-Identifier: MIT
 *
 * The transformer block of CLIP (clip/model.py, ResidualAttentionBlock), its tensors, and layers
 * with a bias.
 */
#include "model/blocks.h"
#include "base/array.h"

int block_layernorm(struct graph *graph, const char *result, int x,
                    const struct tensor_group *group, size_t row, float epsilon)
{
    const int gain = group_weight(graph, group, row);
    const int bias = group_weight(graph, group, row + 1);
    return graph_layernorm(graph, result, x, gain, bias, epsilon);
}

int block_linear(struct graph *graph, const char *result, int x, const struct tensor_group *group,
                 size_t row, enum vkclip_activation activation, int residual)
{
    const int weight = group_weight(graph, group, row);
    const int bias = group_weight(graph, group, row + 1);
    return graph_matmul(graph, result, x, weight, bias, activation, residual);
}

int block_scaled_linear(struct graph *graph, const char *result, int x,
                        const struct tensor_group *group, size_t row, size_t scale, int residual)
{
    const enum vkclip_activation none = VKCLIP_ACTIVATION_AUTO;
    char name[64];
    if (!group_has(group, scale))
        return block_linear(graph, result, x, group, row, none, residual);
    if (graph->training) {
        x = block_linear(graph, NULL, x, group, row, none, -1);
        x = graph_multiply(graph, NULL, x, group_weight(graph, group, scale));
        return graph_sum(graph, result, x, residual);
    }
    const int weight = group_weight(graph, group, row);
    const int bias = group_weight(graph, group, row + 1);
    snprintf(name, sizeof(name), "%s%s", group->prefix, group->rows[scale].name);
    graph_fold(graph, weight, name);
    graph_fold(graph, bias, name);
    return graph_matmul(graph, result, x, weight, bias, none, residual);
}

/* ---- The transformer ------------------------------------------------------------------------- */

/* These are rows of block_rows; the row after a weight's is its bias. */
enum {
    LN_1,
    QKV = LN_1 + 2,
    OUT = QKV + 2,
    LN_2 = OUT + 2,
    FC = LN_2 + 2,
    PROJ = FC + 2,
    SCALE_1 = PROJ + 2,
    SCALE_2
};

/* In a shape, w is the width, q the length of query, key and value together, m the MLP's width. */
static const struct tensor_row block_rows[] = {
    [LN_1] = {"ln_1.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"ln_1.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [QKV] = {"attn.in_proj_weight", "qw", LAYOUT_PANELS, INITIAL_FAN_IN, 0},
    {"attn.in_proj_bias", "q", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [OUT] = {"attn.out_proj.weight", "ww", LAYOUT_PANELS, INITIAL_RESIDUAL, 0},
    {"attn.out_proj.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [LN_2] = {"ln_2.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"ln_2.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [FC] = {"mlp.c_fc.weight", "mw", LAYOUT_PANELS, INITIAL_HIDDEN, 0},
    {"mlp.c_fc.bias", "m", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [PROJ] = {"mlp.c_proj.weight", "wm", LAYOUT_PANELS, INITIAL_RESIDUAL, 0},
    {"mlp.c_proj.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [SCALE_1] = {"ls_1.gamma", "w", LAYOUT_ROWS, INITIAL_SCALE, 0},
    [SCALE_2] = {"ls_2.gamma", "w", LAYOUT_ROWS, INITIAL_SCALE, 0},
};

/* The same tensors by timm's names. */
static const struct tensor_row timm_rows[] = {
    [LN_1] = {"norm1.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"norm1.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [QKV] = {"attn.qkv.weight", "qw", LAYOUT_PANELS, INITIAL_FAN_IN, 0},
    {"attn.qkv.bias", "q", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [OUT] = {"attn.proj.weight", "ww", LAYOUT_PANELS, INITIAL_RESIDUAL, 0},
    {"attn.proj.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [LN_2] = {"norm2.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"norm2.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [FC] = {"mlp.fc1.weight", "mw", LAYOUT_PANELS, INITIAL_HIDDEN, 0},
    {"mlp.fc1.bias", "m", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [PROJ] = {"mlp.fc2.weight", "wm", LAYOUT_PANELS, INITIAL_RESIDUAL, 0},
    {"mlp.fc2.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [SCALE_1] = {"ls1.gamma", "w", LAYOUT_ROWS, INITIAL_SCALE, 0},
    [SCALE_2] = {"ls2.gamma", "w", LAYOUT_ROWS, INITIAL_SCALE, 0},
};

static const struct tensor_row *find_rows(const struct config_tower *tower)
{
    return tower->kind == KIND_SIGLIP ? timm_rows : block_rows;
}

static void print_prefix(const struct config_tower *tower, const char *prefix, uint32_t block,
                         char text[48])
{
    snprintf(text, 48, "%s%s.%u.", prefix,
             find_rows(tower) == timm_rows ? "blocks" : "transformer.resblocks", block);
}

void block_group(const struct config_tower *tower, const char *prefix, uint32_t block,
                 struct tensor_group *group)
{
    *group = (struct tensor_group){
        .rows = find_rows(tower), .count = ARRAY_COUNT(block_rows), .block = block + 1};
    if (!tower->layer_scale)
        group_leave_out(group, SCALE_1, 2);
    group->scale = (double)tower->initial_scale;
    /* An error that 4 bits cause in the first text block passes through every later block. */
    if (tower->kind == KIND_TEXT && !block)
        group->flags = TENSOR_DELICATE;
    print_prefix(tower, prefix, block, group->prefix);
    group_set(group, 'w', tower->width);
    group_set(group, 'q', 3 * (uint64_t)tower->width);
    group_set(group, 'm', tower->mlp);
    group_set(group, 'l', tower->layers);
}

/* Returns the first size of a tensor of block number `block`, or 0 if there is no such block. */
static uint32_t get_block_size(const struct tower_sizes *sizes, const struct config_tower *tower,
                               const char *prefix, uint32_t block, size_t row)
{
    char group[48], name[96];
    print_prefix(tower, prefix, block, group);
    snprintf(name, sizeof(name), "%s%s", group, find_rows(tower)[row].name);
    return sizes->get(sizes->checkpoint, name, 0);
}

void block_read_sizes(const struct tower_sizes *sizes, const char *prefix,
                      struct config_tower *tower)
{
    tower->mlp = get_block_size(sizes, tower, prefix, 0, FC);
    tower->layers = 0;
    while (get_block_size(sizes, tower, prefix, tower->layers, LN_1))
        tower->layers++;
}

/* Appends x += attention(ln_1(x)), then x += mlp(ln_2(x)), each perhaps scaled. With `pooled` only
 * the pooled token leaves the attention, because what follows treats every token alike. */
static int append_block(struct graph *graph, const char *result, int x,
                        const struct block_tower *block, const struct tensor_group *group,
                        bool pooled)
{
    const struct config_tower *tower = block->sizes;
    const enum vkclip_activation none = VKCLIP_ACTIVATION_AUTO;
    int y = block_layernorm(graph, NULL, x, group, LN_1, tower->epsilon);
    y = block_linear(graph, NULL, y, group, QKV, none, -1);
    if (block->mask < 0)
        y = graph_attention(graph, NULL, y, tower->heads, block->causal);
    else
        y = graph_attention_masked(graph, NULL, y, block->mask, -1, tower->heads, block->causal, 0);
    if (pooled) {
        y = graph_select(graph, NULL, y, block->rows);
        x = graph_select(graph, NULL, x, block->rows);
    }
    x = block_scaled_linear(graph, NULL, y, group, OUT, SCALE_1, x);
    y = block_layernorm(graph, NULL, x, group, LN_2, tower->epsilon);
    y = block_linear(graph, NULL, y, group, FC, tower->activation, -1);
    return block_scaled_linear(graph, result, y, group, PROJ, SCALE_2, x);
}

/* Appends the blocks from number `first` up to number `end`. With `pooled` the result is the pooled
 * token [B,C] alone. */
static int append_blocks(struct graph *graph, int x, const struct block_tower *tower,
                         uint32_t first, uint32_t end, bool pooled)
{
    for (uint32_t i = first; i < end; i++) {
        struct tensor_group group;
        char result[64];
        block_group(tower->sizes, tower->prefix, i, &group);
        snprintf(result, sizeof(result), "%s.hidden.%u", tower->stem, i + 1);
        graph_begin_segment(graph);
        x = append_block(graph, result, x, tower, &group, pooled && i + 1 == end);
    }
    graph_end_segment(graph);
    return pooled && first == end ? graph_select(graph, NULL, x, tower->rows) : x;
}

static int append_projection(struct graph *graph, const char *result, int x,
                             const struct block_tower *tower)
{
    const enum vkclip_activation none = VKCLIP_ACTIVATION_AUTO;
    if (tower->sizes->projection_bias)
        return block_linear(graph, result, x, tower->group, tower->projection, none, -1);
    const int matrix = group_weight(graph, tower->group, tower->projection);
    return graph_matmul(graph, result, x, matrix, -1, none, -1);
}

/* Appends what makes features of the tokens x, or of the pooled token. */
static int append_features(struct graph *graph, int x, const struct block_tower *tower,
                           const struct tower_features *features)
{
    if (features->norm)
        x = block_layernorm(graph, NULL, x, tower->group, tower->norm, tower->sizes->epsilon);
    if (features->projected)
        x = append_projection(graph, NULL, x, tower);
    return x;
}

int block_transformer(struct graph *graph, int x, const struct block_tower *tower,
                      const struct tower_features *features, struct tower_tensors *tensors)
{
    const uint32_t layers = tower->sizes->layers;
    if (!features->wanted)
        return append_blocks(graph, x, tower, 0, layers, !features->hidden && !tower->whole);
    const bool pooled = features->pooled && !features->embedding;
    x = append_blocks(graph, x, tower, 0, features->layer, pooled);
    const int tokens = features->pooled && !pooled ? graph_select(graph, NULL, x, tower->rows) : x;
    tensors->features = append_features(graph, tokens, tower, features);
    return features->embedding
               ? append_blocks(graph, x, tower, features->layer, layers, !tower->whole)
               : -1;
}

void block_embed(struct graph *graph, int pooled, const struct block_tower *tower,
                 struct tower_tensors *tensors)
{
    char projected[64], normalized[64];
    snprintf(projected, sizeof(projected), "%s.projected", tower->stem);
    snprintf(normalized, sizeof(normalized), "%s.normalized", tower->stem);
    tensors->embeddings = pooled;
    if (tower->sizes->projection)
        tensors->embeddings = append_projection(graph, projected, pooled, tower);
    tensors->normalized = graph_normalize(graph, normalized, tensors->embeddings);
}

int block_pool(struct graph *graph, const char *result, int tokens,
               const struct tensor_group *group, size_t first, uint32_t heads,
               enum vkclip_activation activation, float epsilon)
{
    const enum vkclip_activation none = VKCLIP_ACTIVATION_AUTO;
    const int latent = group_weight(graph, group, first);
    const int query = block_linear(graph, NULL, latent, group, first + BLOCK_POOL_QUERY, none, -1);
    const int pairs =
        block_linear(graph, NULL, tokens, group, first + BLOCK_POOL_KEY_VALUE, none, -1);
    int x = graph_pool(graph, NULL, query, pairs, heads);
    x = graph_select(graph, NULL, x, -1);
    x = block_linear(graph, "vision.map_attn", x, group, first + BLOCK_POOL_OUT, none, -1);
    int y = block_layernorm(graph, NULL, x, group, first + BLOCK_POOL_NORM, epsilon);
    y = block_linear(graph, NULL, y, group, first + BLOCK_POOL_FC, activation, -1);
    return block_linear(graph, result, y, group, first + BLOCK_POOL_PROJ, none, x);
}

int block_pictures(const struct config *config, const struct tower_features *features,
                   uint32_t patch, unsigned rank, const uint32_t *shape, struct graph *graph,
                   struct tower_tensors *tensors)
{
    const uint32_t size = config->image_size, values[] = {3, 256};
    const uint32_t pictures[] = {shape[0], 3, size, size};
    const uint32_t words[] = {shape[0], (3 * size * size + 3) / 4};
    if (features->bytes) {
        tensors->input = graph_input(graph, "image", TYPE_I32, 2, words);
        tensors->values = graph_input(graph, "image.values", TYPE_F32, 2, values);
    } else {
        tensors->input = graph_input(graph, "image", TYPE_F32, 4, pictures);
    }
    return graph_patches(graph, "image.patches", tensors->input, tensors->values, size, patch, rank,
                         shape);
}
