/* SPDX-License-Identifier: MIT
 *
 * The image tower of SigLIP and of SigLIP 2 with fixed resolution (Zhai et al. 2023; timm's
 * vit_*_siglip_*): a Vision Transformer without class token, whose embedding is made by an
 * attention pool of all tokens (Zhai et al. 2022, MAP). Names are timm's. Pixels that fill no
 * patch, at the right and lower edge, are unused.
 */
#include "base/array.h"
#include "model/blocks.h"

/* The row after a weight's is its bias. */
enum {
    PATCH,
    POSITIONS = PATCH + 2,
    NORM,
    POOL = NORM + 2 /* the first row of the attention pool */
};

/* In a shape, o is one, w the width, c the number of colours, p the side of a patch, n the number
 * of patches, k the length of key and value together, m the MLP's width. */
static const struct tensor_row siglip_rows[] = {
    [PATCH] = {"patch_embed.proj.weight", "wcpp", LAYOUT_PANELS, INITIAL_CONV, 0},
    {"patch_embed.proj.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [POSITIONS] = {"pos_embed", "onw", LAYOUT_ROWS, INITIAL_WIDTH, 0},
    [NORM] = {"norm.weight", "w", LAYOUT_ROWS, INITIAL_ONE, TENSOR_FINAL},
    {"norm.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_FINAL},
    BLOCK_POOL(POOL, TENSOR_DELICATE),
};

static const char prefix[] = "visual.trunk.";

static uint32_t count_patches(const struct config *config)
{
    const uint32_t side = config->image_size / config->patch_size;
    return side * side;
}

/* Describes the tensors outside the blocks. */
static void outer_group(const struct config *config, struct tensor_group *group)
{
    *group = (struct tensor_group){.rows = siglip_rows, .count = ARRAY_COUNT(siglip_rows)};
    snprintf(group->prefix, sizeof(group->prefix), "%s", prefix);
    group_set(group, 'o', 1);
    group_set(group, 'w', config->image.width);
    group_set(group, 'c', 3);
    group_set(group, 'p', config->patch_size);
    group_set(group, 'n', count_patches(config));
    group_set(group, 'k', 2 * (uint64_t)config->image.width);
    group_set(group, 'm', config->image.mlp);
}

static bool describe_group(const struct config *config, uint32_t index, struct tensor_group *group)
{
    if (index > config->image.layers)
        return false;
    if (index)
        block_group(&config->image, prefix, index - 1, group);
    else
        outer_group(config, group);
    return true;
}

static void read_sizes(const struct tower_sizes *sizes, struct config *config)
{
    const void *checkpoint = sizes->checkpoint;
    const uint32_t patches = sizes->get(checkpoint, "visual.trunk.pos_embed", 1);
    config->image.kind = KIND_SIGLIP; /* decides the blocks' names */
    block_read_sizes(sizes, prefix, &config->image);
    config->image.width = sizes->get(checkpoint, "visual.trunk.patch_embed.proj.weight", 0);
    config->image.projection = false;
    config->patch_size = sizes->get(checkpoint, "visual.trunk.patch_embed.proj.weight", 3);
    config->image_embed_dim = config->image.width;
    config->image_size = tower_picture_size(config->patch_size, patches);
}

static int check_sizes(const char *path, const struct config *config)
{
    int error = tower_check_widths(path, "image", &config->image, config->image_embed_dim);
    return error ? error : tower_check_patches(path, config);
}

static void describe_tower(const struct config *config, struct vkclip_tower_info *info)
{
    info->positions = count_patches(config);
}

static void append_siglip(const struct config *config, const struct tower_features *features,
                          uint32_t batch, struct graph *graph, struct tower_tensors *tensors)
{
    const uint32_t shape[] = {batch, count_patches(config),
                              3 * config->patch_size * config->patch_size};
    struct tensor_group group;
    const struct block_tower tower = {.stem = "vision",
                                      .prefix = prefix,
                                      .sizes = &config->image,
                                      .group = &group,
                                      .norm = NORM,
                                      .whole = true,
                                      .mask = -1,
                                      .rows = -1};
    outer_group(config, &group);
    int x = block_pictures(config, features, config->patch_size, 3, shape, graph, tensors);
    x = block_linear(graph, "vision.patch_embed", x, &group, PATCH, VKCLIP_ACTIVATION_AUTO, -1);
    x = graph_classtoken(graph, "vision.hidden.0", x, -1, group_weight(graph, &group, POSITIONS));
    x = block_transformer(graph, x, &tower, features, tensors);
    if (x < 0)
        return;
    x = block_layernorm(graph, "vision.final_norm", x, &group, NORM, config->image.epsilon);
    x = block_pool(graph, "vision.projected", x, &group, POOL, config->image.heads,
                   config->image.activation, config->image.epsilon);
    block_embed(graph, x, &tower, tensors);
}

const struct tower_row tower_siglip = {
    .tower = TOWER_IMAGE,
    .prefixes = {"visual.trunk.attn_pool."},
    .closed = "visual.",
    .position_table = "visual.trunk.pos_embed",
    .blocks = true,
    .lock_groups = true,
    .pools_all = true,
    .read = read_sizes,
    .check = check_sizes,
    .describe = describe_tower,
    .group = describe_group,
    .append = append_siglip,
};
