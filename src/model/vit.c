/* SPDX-License-Identifier: MIT
 *
 * The Vision Transformer of CLIP (paper, section 2.4; clip/model.py, VisionTransformer). Patches do
 * not overlap, so their convolution is a matrix product over rows of pixels: a picture becomes one
 * row per patch, in reading order, each with its pixels in the order channel, y, x. Pixels at the
 * right and lower edge that fill no patch are unused.
 *
 * OpenCLIP's options replace the class token by the mean of the patches, or by what learned queries
 * make of all tokens, as in CoCa (attentional_pool), and may leave out the first LayerNorm.
 */
#include "base/array.h"
#include "base/error.h"
#include "model/blocks.h"

/* A LayerNorm has two rows, its gain and its bias, as layers with a bias have. */
enum {
    CLASS,
    PATCH,
    POSITIONS,
    LN_PRE,
    LN_POST = LN_PRE + 2,
    PROJECTION = LN_POST + 2,
    QUERY,
    LN_Q,
    LN_K = LN_Q + 2,
    Q = LN_K + 2,
    KV = Q + 2,
    OUT = KV + 2,
    POOL_END = OUT + 2
};

/* In a shape, w is the width, c the number of colours, p the side of a patch, n the number of
 * patches and the class token, d the length of the embedding, z the length of what is pooled, u the
 * number of queries, k twice their length. */
static const struct tensor_row vit_rows[] = {
    [CLASS] = {"class_embedding", "w", LAYOUT_ROWS, INITIAL_WIDTH, 0},
    [PATCH] = {"conv1.weight", "wcpp", LAYOUT_PANELS, INITIAL_CONV, 0},
    [POSITIONS] = {"positional_embedding", "nw", LAYOUT_ROWS, INITIAL_WIDTH, 0},
    [LN_PRE] = {"ln_pre.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"ln_pre.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [LN_POST] = {"ln_post.weight", "z", LAYOUT_ROWS, INITIAL_ONE, TENSOR_FINAL},
    {"ln_post.bias", "z", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_FINAL},
    [PROJECTION] = {"proj", "zd", LAYOUT_PANELS_KN, INITIAL_WIDTH, TENSOR_DELICATE | TENSOR_HEAD},
    [QUERY] = {"attn_pool.query", "ud", LAYOUT_ROWS, INITIAL_WIDTH, TENSOR_HEAD},
    [LN_Q] = {"attn_pool.ln_q.weight", "d", LAYOUT_ROWS, INITIAL_ONE, TENSOR_HEAD},
    {"attn_pool.ln_q.bias", "d", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_HEAD},
    [LN_K] = {"attn_pool.ln_k.weight", "w", LAYOUT_ROWS, INITIAL_ONE, TENSOR_HEAD},
    {"attn_pool.ln_k.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_HEAD},
    [Q] = {"attn_pool.attn.q_weight", "dd", LAYOUT_PANELS, INITIAL_FAN_IN, TENSOR_HEAD},
    {"attn_pool.attn.q_bias", "d", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_HEAD},
    [KV] = {"attn_pool.attn.kv_weight", "kw", LAYOUT_PANELS, INITIAL_FAN_IN, TENSOR_HEAD},
    {"attn_pool.attn.kv_bias", "k", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_HEAD},
    [OUT] = {"attn_pool.attn.out_proj.weight", "dd", LAYOUT_PANELS, INITIAL_FAN_IN, TENSOR_HEAD},
    {"attn_pool.attn.out_proj.bias", "d", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_HEAD},
};

static uint32_t patches_per_side(const struct config *config)
{
    return config->image_size / config->patch_size;
}

/* Describes the tensors outside the blocks. */
static void outer_group(const struct config *config, struct tensor_group *group)
{
    const struct config_tower *tower = &config->image;
    const uint64_t side = patches_per_side(config);
    *group = (struct tensor_group){
        .prefix = "visual.", .rows = vit_rows, .count = ARRAY_COUNT(vit_rows)};
    if (tower->no_pre_norm)
        group_leave_out(group, LN_PRE, 2);
    if (!tower->projection)
        group_leave_out(group, PROJECTION, 1);
    if (!tower->pool_heads)
        group_leave_out(group, QUERY, POOL_END - QUERY);
    group_set(group, 'z', tower->pool_heads ? config->image_embed_dim : tower->width);
    group_set(group, 'u', tower->pool_queries);
    group_set(group, 'k', 2 * (uint64_t)config->image_embed_dim);
    group_set(group, 'w', config->image.width);
    group_set(group, 'c', 3);
    group_set(group, 'p', config->patch_size);
    group_set(group, 'n', side * side + 1);
    group_set(group, 'd', config->image_embed_dim);
}

static bool describe_group(const struct config *config, uint32_t index, struct tensor_group *group)
{
    if (index > config->image.layers)
        return false;
    if (index)
        block_group(&config->image, "visual.", index - 1, group);
    else
        outer_group(config, group);
    return true;
}

static void read_sizes(const struct tower_sizes *sizes, struct config *config)
{
    const void *checkpoint = sizes->checkpoint;
    const uint32_t positions = sizes->get(checkpoint, "visual.positional_embedding", 0);
    block_read_sizes(sizes, "visual.", &config->image);
    config->image.width = sizes->get(checkpoint, "visual.conv1.weight", 0);
    config->patch_size = sizes->get(checkpoint, "visual.conv1.weight", 3);
    config->image_embed_dim = sizes->get(checkpoint, "visual.proj", 1);
    config->image_size = tower_picture_size(config->patch_size, positions ? positions - 1 : 0);
}

static int check_sizes(const char *path, const struct config *config)
{
    const struct config_tower *tower = &config->image;
    int error = tower_check_widths(path, "image", tower, config->image_embed_dim);
    if (!error && tower->pool_heads)
        error = tower_check_size(path, "image", "attn_pooler_queries", tower->pool_queries, 1024);
    if (!error && tower->pool_heads && config->image_embed_dim % tower->pool_heads)
        error =
            error_fail(VKCLIP_EFORMAT,
                       "%s: image tower: embedding %u is not a multiple of attn_pooler_heads %u",
                       path, config->image_embed_dim, tower->pool_heads);
    return error ? error : tower_check_patches(path, config);
}

static void describe_tower(const struct config *config, struct vkclip_tower_info *info)
{
    const uint32_t side = patches_per_side(config);
    info->positions = side * side + 1; /* patches and the class token */
}

/* Appends what learned queries make of all tokens [B,U,D]. OpenCLIP gives these norms the default
 * epsilon, whatever that of the tower is. */
static int append_queries(const struct config *config, const struct tensor_group *group, int x,
                          struct graph *graph)
{
    const enum vkclip_activation none = VKCLIP_ACTIVATION_AUTO;
    const float epsilon = 1e-5f;
    int q = group_weight(graph, group, QUERY);
    q = block_layernorm(graph, NULL, q, group, LN_Q, epsilon);
    q = block_linear(graph, NULL, q, group, Q, none, -1);
    x = block_layernorm(graph, NULL, x, group, LN_K, epsilon);
    x = block_linear(graph, NULL, x, group, KV, none, -1);
    x = graph_pool(graph, NULL, q, x, config->image.pool_heads);
    return block_linear(graph, "vision.attn_pool", x, group, OUT, none, -1);
}

/* Appends the last norm and the pooling of all tokens, in the tower's order. */
static int append_pooling(const struct config *config, const struct tensor_group *group, int x,
                          struct graph *graph)
{
    const struct config_tower *tower = &config->image;
    if (tower->pool_heads)
        x = append_queries(config, group, x, graph);
    if (tower->norm_after_pool) {
        x = graph_mean(graph, NULL, x, -1, 1);
        return block_layernorm(graph, "vision.pooled", x, group, LN_POST, tower->epsilon);
    }
    x = block_layernorm(graph, "vision.final_norm", x, group, LN_POST, tower->epsilon);
    if (tower->pooling == POOL_MEAN)
        return graph_mean(graph, "vision.pooled", x, -1, 1);
    return graph_select(graph, "vision.pooled", x, -1);
}

static void append_vit(const struct config *config, const struct tower_features *features,
                       uint32_t batch, struct graph *graph, struct tower_tensors *tensors)
{
    const float epsilon = config->image.epsilon;
    const uint32_t side = patches_per_side(config);
    const uint32_t shape[] = {batch, side * side, 3 * config->patch_size * config->patch_size};
    struct tensor_group group;
    const struct block_tower tower = {.stem = "vision",
                                      .prefix = "visual.",
                                      .sizes = &config->image,
                                      .group = &group,
                                      .norm = LN_POST,
                                      .projection = PROJECTION,
                                      .whole = config->image.pooling == POOL_MEAN ||
                                               config->image.pool_heads,
                                      .mask = -1,
                                      .rows = -1};
    outer_group(config, &group);
    int x = block_pictures(config, features, config->patch_size, 3, shape, graph, tensors);
    x = graph_matmul(graph, "vision.patch_embed", x, group_weight(graph, &group, PATCH), -1,
                     VKCLIP_ACTIVATION_AUTO, -1);
    const int token = group_weight(graph, &group, CLASS);
    const int positions = group_weight(graph, &group, POSITIONS);
    const bool norm = !config->image.no_pre_norm;
    x = graph_classtoken(graph, norm ? "vision.embeddings" : "vision.hidden.0", x, token,
                         positions);
    if (norm)
        x = block_layernorm(graph, "vision.hidden.0", x, &group, LN_PRE, epsilon);
    x = block_transformer(graph, x, &tower, features, tensors);
    if (x < 0)
        return;
    if (tower.whole) {
        x = append_pooling(config, &group, x, graph);
    } else {
        if (features->hidden)
            x = graph_select(graph, NULL, x, -1);
        x = block_layernorm(graph, "vision.pooled", x, &group, LN_POST, epsilon);
    }
    block_embed(graph, x, &tower, tensors);
}

const struct tower_row tower_vit = {
    .tower = TOWER_IMAGE,
    .prefixes = {"visual."},
    .closed = "visual.",
    .reserved = {"visual_projection."},
    .position_table = "visual.positional_embedding",
    .blocks = true,
    .lock_groups = true,
    .class_tokens = 1,
    .read = read_sizes,
    .check = check_sizes,
    .describe = describe_tower,
    .group = describe_group,
    .append = append_vit,
};
