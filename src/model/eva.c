/* SPDX-License-Identifier: MIT
 *
 * The image towers of EVA-CLIP (Fang et al. 2023) and of the Perception Encoder, PE-Core (Bolya et
 * al. 2025), with the names that timm gives to their tensors. They are Vision Transformers with
 * some of these options: rotary positions, gated MLPs, norms inside of attention and MLP or after
 * them, and an attention pool. timm's key projections of EVA-CLIP have no bias: the bias of query,
 * key and value together has zeros there, which no file stores.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"
#include "model/blocks.h"

#include <math.h>

/* The heads of every published PE-Core's attention pool, whatever its width is. */
#define POOL_HEADS 8

/* A layer with a bias has two rows. */
enum {
    PATCH,
    PATCH_BIAS,
    CLASS,
    POSITIONS,
    NORM_PRE,
    POOL = NORM_PRE + 2, /* the first row of the attention pool */
    NORM = POOL + BLOCK_POOL_ROWS,
    HEAD = NORM + 2
};

/* In a shape, o is one, w the width, c the number of colours, p the side of a patch, n the number
 * of tokens, k the length of key and value together, m the width of the pool's MLP, d the length of
 * the embedding. */
static const struct tensor_row eva_rows[] = {
    [PATCH] = {"patch_embed.proj.weight", "wcpp", LAYOUT_PANELS, INITIAL_CONV, 0},
    [PATCH_BIAS] = {"patch_embed.proj.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [CLASS] = {"cls_token", "oow", LAYOUT_ROWS, INITIAL_WIDTH, 0},
    [POSITIONS] = {"pos_embed", "onw", LAYOUT_ROWS, INITIAL_WIDTH, 0},
    [NORM_PRE] = {"norm_pre.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"norm_pre.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    BLOCK_POOL(POOL, 0),
    [NORM] = {"norm.weight", "w", LAYOUT_ROWS, INITIAL_ONE, TENSOR_FINAL},
    {"norm.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_FINAL},
    [HEAD] = {"head.weight", "dw", LAYOUT_PANELS, INITIAL_FAN_IN, TENSOR_DELICATE | TENSOR_HEAD},
    {"head.bias", "d", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_HEAD},
};

/* Query, key and value are one matrix with or without a bias of the key, or three. */
enum {
    NORM_1,
    QKV = NORM_1 + 2,
    QKV_BIAS,
    QV_BIAS,
    SPLIT,
    SPLIT_BIAS,
    INNER_NORM,
    PROJ = INNER_NORM + 2,
    NORM_2 = PROJ + 2,
    FC_1 = NORM_2 + 2,
    GATED = FC_1 + 2,
    MLP_NORM = GATED + 2,
    FC_2 = MLP_NORM + 2
};

/* In a shape, w is the width, q the length of query, key and value together, m the MLP's width, g
 * that of gate and value together. */
static const struct tensor_row block_rows[] = {
    [NORM_1] = {"norm1.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"norm1.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [QKV] = {"attn.qkv.weight", "qw", LAYOUT_PANELS, INITIAL_FAN_IN, 0},
    [QKV_BIAS] = {"attn.qkv.bias", "q", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [QV_BIAS] = {"attn.qv_bias", "q", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [SPLIT] = {"attn.in_proj_weight", "qw", LAYOUT_PANELS, INITIAL_FAN_IN, 0},
    [SPLIT_BIAS] = {"attn.in_proj_bias", "q", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [INNER_NORM] = {"attn.norm.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"attn.norm.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [PROJ] = {"attn.proj.weight", "ww", LAYOUT_PANELS, INITIAL_RESIDUAL, 0},
    {"attn.proj.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [NORM_2] = {"norm2.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"norm2.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [FC_1] = {"mlp.fc1.weight", "mw", LAYOUT_PANELS, INITIAL_HIDDEN, 0},
    {"mlp.fc1.bias", "m", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [GATED] = {"mlp.fc1_gx.weight", "gw", LAYOUT_PANELS, INITIAL_HIDDEN, 0},
    {"mlp.fc1_gx.bias", "g", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [MLP_NORM] = {"mlp.norm.weight", "m", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"mlp.norm.bias", "m", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [FC_2] = {"mlp.fc2.weight", "wm", LAYOUT_PANELS, INITIAL_RESIDUAL, 0},
    {"mlp.fc2.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
};

/* ---- Tensors --------------------------------------------------------------------------------- */

static bool is_pooled_by_attention(const struct config_tower *tower)
{
    return tower->pooling == POOL_ATTENTION;
}

static uint32_t patches_per_side(const struct config *config)
{
    return config->image_size / config->patch_size;
}

static uint32_t count_tokens(const struct config *config)
{
    const uint32_t side = patches_per_side(config);
    return side * side + !config->image.no_class_token;
}

static void outer_group(const struct config *config, struct tensor_group *group)
{
    const struct config_tower *tower = &config->image;
    *group = (struct tensor_group){
        .prefix = "visual.trunk.", .rows = eva_rows, .count = ARRAY_COUNT(eva_rows)};
    if (tower->no_class_token)
        group_leave_out(group, CLASS, 1);
    if (is_pooled_by_attention(tower))
        group_leave_out(group, PATCH_BIAS, 1);
    else
        group_leave_out(group, NORM_PRE, NORM - NORM_PRE);
    group_set(group, 'o', 1);
    group_set(group, 'w', tower->width);
    group_set(group, 'c', 3);
    group_set(group, 'p', config->patch_size);
    group_set(group, 'n', count_tokens(config));
    group_set(group, 'k', 2 * (uint64_t)tower->width);
    group_set(group, 'm', 4 * (uint64_t)tower->width);
    group_set(group, 'd', config->image_embed_dim);
}

static void block_tensors(const struct config_tower *tower, uint32_t block,
                          struct tensor_group *group)
{
    *group = (struct tensor_group){
        .rows = block_rows, .count = ARRAY_COUNT(block_rows), .block = block + 1};
    snprintf(group->prefix, sizeof(group->prefix), "visual.trunk.blocks.%u.", block);
    if (tower->inner_norm) {
        group_leave_out(group, QKV, 3);
    } else {
        group_leave_out(group, SPLIT, 2);
        group_leave_out(group, INNER_NORM, 2);
        group_leave_out(group, MLP_NORM, 2);
        group_leave_out(group, is_pooled_by_attention(tower) ? QV_BIAS : QKV_BIAS, 1);
    }
    group_leave_out(group, tower->gated ? FC_1 : GATED, 2);
    group_set(group, 'w', tower->width);
    group_set(group, 'q', 3 * (uint64_t)tower->width);
    group_set(group, 'm', tower->mlp);
    group_set(group, 'g', 2 * (uint64_t)tower->mlp);
    group_set(group, 'l', tower->layers);
}

static bool describe_group(const struct config *config, uint32_t index, struct tensor_group *group)
{
    if (index > config->image.layers)
        return false;
    if (index)
        block_tensors(&config->image, index - 1, group);
    else
        outer_group(config, group);
    return true;
}

/* Returns a size of a tensor, or 0 if there is no such tensor. */
static uint32_t get_size(const struct tower_sizes *sizes, const char *name, unsigned dimension)
{
    char full[64];
    snprintf(full, sizeof(full), "visual.trunk.%s", name);
    return sizes->get(sizes->checkpoint, full, dimension);
}

static uint32_t count_layers(const struct tower_sizes *sizes)
{
    uint32_t layers = 0;
    char name[48];
    do
        snprintf(name, sizeof(name), "blocks.%u.norm1.weight", layers++);
    while (get_size(sizes, name, 0));
    return layers - 1;
}

/* Reads what tensors tell. They do not tell the heads and the grid of rotary positions, so that no
 * state dict is opened without its configuration. */
static void read_sizes(const struct tower_sizes *sizes, struct config *config)
{
    struct config_tower *tower = &config->image;
    tower->width = get_size(sizes, "patch_embed.proj.weight", 0);
    tower->layers = count_layers(sizes);
    tower->mlp = get_size(sizes, "blocks.0.mlp.fc2.weight", 1);
    tower->gated = get_size(sizes, "blocks.0.mlp.fc1_gx.weight", 0) > 0;
    tower->inner_norm = get_size(sizes, "blocks.0.attn.norm.weight", 0) > 0;
    tower->no_class_token = !get_size(sizes, "cls_token", 2);
    if (get_size(sizes, "attn_pool.latent", 2))
        tower->pooling = POOL_ATTENTION;
    config->patch_size = get_size(sizes, "patch_embed.proj.weight", 3);
    config->image_embed_dim = get_size(sizes, "head.weight", 0);
    const uint32_t tokens = get_size(sizes, "pos_embed", 1);
    const uint32_t class_tokens = !tower->no_class_token;
    config->image_size =
        tower_picture_size(config->patch_size, tokens > class_tokens ? tokens - class_tokens : 0);
}

static int check_sizes(const char *path, const struct config *config)
{
    const struct config_tower *tower = &config->image;
    int error = tower_check_widths(path, "image", tower, config->image_embed_dim);
    if (!error)
        error = tower_check_picture(path, config);
    if (!error && tower->rope_grid && tower->width / tower->heads % 4)
        error = error_fail(VKCLIP_EFORMAT,
                           "%s: image tower: expected heads of a multiple of 4 channels, which "
                           "rotary positions turn, found %u",
                           path, tower->width / tower->heads);
    if (!error && is_pooled_by_attention(tower) && tower->width % POOL_HEADS)
        error = error_fail(VKCLIP_EFORMAT,
                           "%s: image tower: width %u is not a multiple of the pool's %d heads",
                           path, tower->width, POOL_HEADS);
    return error;
}

static void describe_tower(const struct config *config, struct vkclip_tower_info *info)
{
    info->positions = count_tokens(config);
}

/* ---- The graph ------------------------------------------------------------------------------- */

/* What the blocks of a graph share. */
struct eva {
    const struct config_tower *sizes;
    int turns; /* see graph_rope; -1: there are no rotary positions */
};

/* Appends cosine and sine of the angle of every row or column and of each pair of half a head. A
 * row is as far from the first one as in the grid of the pre-training, whatever the pictures' size
 * is. PE-Core counts rows from 1 where there is a class token, which stays at 0. */
static int append_turns(const struct config *config, struct graph *graph)
{
    const struct config_tower *tower = &config->image;
    const uint32_t shape[] = {patches_per_side(config), tower->width / tower->heads / 4, 2};
    const double scale = (double)tower->rope_grid / shape[0];
    const double offset = is_pooled_by_attention(tower) && !tower->no_class_token ? 1 : 0;
    float *values = memory_alloc((size_t)shape[0] * shape[1] * 2 * sizeof(*values));
    if (!values) {
        graph->error =
            graph->error ? graph->error : error_fail(VKCLIP_EMEMORY, "out of memory for a graph");
        return -1;
    }
    for (uint32_t row = 0; row < shape[0]; row++)
        for (uint32_t pair = 0; pair < shape[1]; pair++) {
            const double angle = (row + offset) * scale * pow(10000, -(double)pair / shape[1]);
            values[2 * (row * shape[1] + pair)] = (float)cos(angle);
            values[2 * (row * shape[1] + pair) + 1] = (float)sin(angle);
        }
    const int turns = graph_constant(graph, "image.turns", 3, shape, values);
    memory_free(values);
    return turns;
}

static int append_norm(struct graph *graph, const char *result, int x, const struct eva *eva,
                       const struct tensor_group *group, size_t row)
{
    return block_layernorm(graph, result, x, group, row, eva->sizes->epsilon);
}

/* Appends attention without its last matrix. */
static int append_attention(struct graph *graph, int x, const struct eva *eva,
                            const struct tensor_group *group)
{
    const uint32_t heads = eva->sizes->heads;
    const bool split = group_has(group, SPLIT);
    const size_t one = group_has(group, QKV_BIAS) ? QKV_BIAS : QV_BIAS;
    const int weight = group_weight(graph, group, split ? SPLIT : QKV);
    const int bias = group_weight(graph, group, split ? SPLIT_BIAS : one);
    x = graph_matmul(graph, NULL, x, weight, bias, VKCLIP_ACTIVATION_AUTO, -1);
    if (eva->turns >= 0)
        x = graph_rope(graph, NULL, x, eva->turns, heads, is_pooled_by_attention(eva->sizes));
    return graph_attention(graph, NULL, x, heads, false);
}

/* Appends the first half of the MLP. */
static int append_hidden(struct graph *graph, int x, const struct eva *eva,
                         const struct tensor_group *group)
{
    const enum vkclip_activation activation = eva->sizes->activation;
    if (!eva->sizes->gated)
        return block_linear(graph, NULL, x, group, FC_1, activation, -1);
    x = block_linear(graph, NULL, x, group, GATED, VKCLIP_ACTIVATION_AUTO, -1);
    return graph_gate(graph, NULL, x, activation);
}

/* Appends a block. With `pooled` only the class token leaves the attention. */
static int append_block(struct graph *graph, const char *result, int x, const struct eva *eva,
                        const struct tensor_group *group, bool pooled)
{
    const enum vkclip_activation none = VKCLIP_ACTIVATION_AUTO;
    const bool after = eva->sizes->post_norm, inner = eva->sizes->inner_norm;
    int y = after ? x : append_norm(graph, NULL, x, eva, group, NORM_1);
    y = append_attention(graph, y, eva, group);
    if (pooled) {
        y = graph_select(graph, NULL, y, -1);
        x = graph_select(graph, NULL, x, -1);
    }
    if (inner)
        y = append_norm(graph, NULL, y, eva, group, INNER_NORM);
    y = block_linear(graph, NULL, y, group, PROJ, none, after ? -1 : x);
    x = after ? graph_sum(graph, NULL, x, append_norm(graph, NULL, y, eva, group, NORM_1)) : y;
    y = after ? x : append_norm(graph, NULL, x, eva, group, NORM_2);
    y = append_hidden(graph, y, eva, group);
    if (inner)
        y = append_norm(graph, NULL, y, eva, group, MLP_NORM);
    y = block_linear(graph, after ? NULL : result, y, group, FC_2, none, after ? -1 : x);
    return after ? graph_sum(graph, result, x, append_norm(graph, NULL, y, eva, group, NORM_2)) : y;
}

/* Appends the blocks from number `first` up to number `end`. With `pooled` the result is the class
 * token [B,C] alone. */
static int append_blocks(struct graph *graph, int x, const struct eva *eva, uint32_t first,
                         uint32_t end, bool pooled)
{
    for (uint32_t i = first; i < end; i++) {
        struct tensor_group group;
        char result[64];
        block_tensors(eva->sizes, i, &group);
        snprintf(result, sizeof(result), "vision.hidden.%u", i + 1);
        graph_begin_segment(graph);
        x = append_block(graph, result, x, eva, &group, pooled && i + 1 == end);
    }
    graph_end_segment(graph);
    return pooled && first == end ? graph_select(graph, NULL, x, -1) : x;
}

/* Appends the embeddings of the tokens that leave the blocks, or of the class token alone. */
static void append_head(struct graph *graph, int x, const struct eva *eva, bool hidden,
                        const struct tensor_group *group, struct tower_tensors *tensors)
{
    const bool pool = is_pooled_by_attention(eva->sizes), all = hidden || pool;
    x = append_norm(graph, all ? "vision.final_norm" : "vision.pooled", x, eva, group, NORM);
    if (pool)
        x = block_pool(graph, "vision.pooled", x, group, POOL, POOL_HEADS, VKCLIP_ACTIVATION_GELU,
                       eva->sizes->epsilon);
    else if (hidden)
        x = graph_select(graph, "vision.pooled", x, -1);
    tensors->embeddings =
        block_linear(graph, "vision.projected", x, group, HEAD, VKCLIP_ACTIVATION_AUTO, -1);
    tensors->normalized = graph_normalize(graph, "vision.normalized", tensors->embeddings);
}

/* Appends what makes features of the tokens x. */
static int append_features(struct graph *graph, int x, const struct eva *eva,
                           const struct tower_features *features, const struct tensor_group *group)
{
    if (features->pooled)
        x = graph_select(graph, NULL, x, -1);
    if (features->norm)
        x = append_norm(graph, NULL, x, eva, group, NORM);
    if (features->projected)
        x = block_linear(graph, NULL, x, group, HEAD, VKCLIP_ACTIVATION_AUTO, -1);
    return x;
}

/* Appends the input of the first block. */
static int append_tokens(const struct config *config, const struct tower_features *features,
                         uint32_t batch, const struct eva *eva, const struct tensor_group *group,
                         struct graph *graph, struct tower_tensors *tensors)
{
    const uint32_t side = patches_per_side(config);
    const uint32_t shape[] = {batch, side * side, 3 * config->patch_size * config->patch_size};
    const bool norm = group_has(group, NORM_PRE);
    int x = block_pictures(config, features, config->patch_size, 3, shape, graph, tensors);
    const int weight = group_weight(graph, group, PATCH);
    const int bias = group_has(group, PATCH_BIAS) ? group_weight(graph, group, PATCH_BIAS) : -1;
    x = graph_matmul(graph, "vision.patch_embed", x, weight, bias, VKCLIP_ACTIVATION_AUTO, -1);
    const int token = group_has(group, CLASS) ? group_weight(graph, group, CLASS) : -1;
    const int positions = group_weight(graph, group, POSITIONS);
    x = graph_classtoken(graph, norm ? "vision.embeddings" : "vision.hidden.0", x, token,
                         positions);
    return norm ? append_norm(graph, "vision.hidden.0", x, eva, group, NORM_PRE) : x;
}

static void append_eva(const struct config *config, const struct tower_features *features,
                       uint32_t batch, struct graph *graph, struct tower_tensors *tensors)
{
    const struct config_tower *tower = &config->image;
    const uint32_t layers = tower->layers;
    struct eva eva = {.sizes = tower, .turns = -1};
    struct tensor_group group;
    outer_group(config, &group);
    if (tower->rope_grid)
        eva.turns = append_turns(config, graph);
    int x = append_tokens(config, features, batch, &eva, &group, graph, tensors);
    const uint32_t layer = features->wanted ? features->layer : 0;
    x = append_blocks(graph, x, &eva, 0, layer, false);
    if (features->wanted)
        tensors->features = append_features(graph, x, &eva, features, &group);
    if (features->wanted && !features->embedding)
        return;
    const bool pooled = !features->hidden && !is_pooled_by_attention(tower);
    x = append_blocks(graph, x, &eva, layer, layers, pooled);
    append_head(graph, x, &eva, features->hidden, &group, tensors);
}

const struct tower_row tower_eva = {
    .tower = TOWER_IMAGE,
    .closed = "visual.",
    .position_table = "visual.trunk.pos_embed",
    .blocks = true,
    .lock_groups = true,
    .class_tokens = 1,
    .read = read_sizes,
    .check = check_sizes,
    .describe = describe_tower,
    .group = describe_group,
    .append = append_eva,
};
