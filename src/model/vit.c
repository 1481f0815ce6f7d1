/* SPDX-License-Identifier: MIT
 *
 * The Vision Transformer of CLIP (paper, section 2.4; clip/model.py, VisionTransformer). Patches do
 * not overlap, so their convolution is a matrix product over rows of pixels: a picture becomes one
 * row per patch, in reading order, each with its pixels in the order channel, y, x.
 */
#include "base/array.h"
#include "model/blocks.h"

#include <math.h>

/* A LayerNorm has two rows, its gain and its bias. */
enum { CLASS, PATCH, POSITIONS, LN_PRE, LN_POST = LN_PRE + 2, PROJECTION = LN_POST + 2 };

/* In a shape, w is the width, c the number of colours, p the side of a patch, n the number of
 * patches and the class token, d the length of the embedding. */
static const struct tensor_row vit_rows[] = {
    [CLASS] = {"class_embedding", "w", LAYOUT_ROWS, INITIAL_WIDTH, 0},
    [PATCH] = {"conv1.weight", "wcpp", LAYOUT_PANELS, INITIAL_CONV, 0},
    [POSITIONS] = {"positional_embedding", "nw", LAYOUT_ROWS, INITIAL_WIDTH, 0},
    [LN_PRE] = {"ln_pre.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"ln_pre.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [LN_POST] = {"ln_post.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"ln_post.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [PROJECTION] = {"proj", "wd", LAYOUT_PANELS_KN, INITIAL_WIDTH, TENSOR_DELICATE},
};

static uint32_t patches_per_side(const struct config *config)
{
    return config->image_size / config->patch_size;
}

/* Describes the tensors outside the blocks. The last row is the projection, which may be absent. */
static void outer_group(const struct config *config, struct tensor_group *group)
{
    const uint64_t side = patches_per_side(config);
    *group = (struct tensor_group){.prefix = "visual.",
                                   .rows = vit_rows,
                                   .count = ARRAY_COUNT(vit_rows) - !config->image.projection};
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
    const uint64_t size = config->patch_size * (uint64_t)sqrt(positions ? positions - 1 : 0);
    config->image_size = size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
}

static int check_sizes(const char *path, const struct config *config)
{
    int error = tower_check_widths(path, "image", &config->image, config->image_embed_dim);
    return error ? error : tower_check_picture(path, config);
}

static void describe_tower(const struct config *config, struct vkclip_tower_info *info)
{
    const uint32_t side = patches_per_side(config);
    info->positions = side * side + 1; /* patches and the class token */
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
                                      .mask = -1,
                                      .rows = -1};
    outer_group(config, &group);
    int x = block_pictures(config, features, config->patch_size, 3, shape, graph, tensors);
    x = graph_matmul(graph, "vision.patch_embed", x, group_weight(graph, &group, PATCH), -1,
                     VKCLIP_ACTIVATION_AUTO, -1);
    const int token = group_weight(graph, &group, CLASS);
    const int positions = group_weight(graph, &group, POSITIONS);
    x = graph_classtoken(graph, "vision.embeddings", x, token, positions);
    x = block_layernorm(graph, "vision.hidden.0", x, &group, LN_PRE, epsilon);
    x = block_transformer(graph, x, &tower, features, tensors);
    if (x < 0)
        return;
    if (features->hidden)
        x = graph_select(graph, NULL, x, -1);
    x = block_layernorm(graph, "vision.pooled", x, &group, LN_POST, epsilon);
    block_embed(graph, x, &tower, tensors);
}

const struct tower_row tower_vit = {
    .tower = TOWER_IMAGE,
    .prefixes = {"visual."},
    .closed = "visual.",
    .position_table = "visual.positional_embedding",
    .blocks = true,
    .class_tokens = 1,
    .read = read_sizes,
    .check = check_sizes,
    .describe = describe_tower,
    .group = describe_group,
    .append = append_vit,
};
