/* SPDX-License-Identifier: MIT
 *
 * The ConvNeXt of OpenCLIP (Liu et al. 2022, "A ConvNet for the 2020s"; timm's names). A block adds
 * to each pixel what a depthwise convolution, LayerNorm over the channels and an MLP make of its
 * surroundings, scaled by a vector `gamma`.
 */
#include "model/convnext.h"
#include "base/array.h"
#include "model/blocks.h"

#include <string.h>

/* The stem makes one pixel of this many per side, and each later stage halves the sides. */
#define STEM 4
#define HALF 2
#define STRIDE 32
#define COLOURS 3
/* Pixels per side of a depthwise kernel. */
#define KERNEL 7

/* ---- Tensors --------------------------------------------------------------------------------- */

/* timm begins all matrices and convolutions with deviation 0.02, which is that of INITIAL_TOKENS.
 * The row after a weight's is its bias. */
enum { STEM_CONV, STEM_NORM = STEM_CONV + 2 };

/* In a shape, c is the number of colours, s the side of a kernel, w the width. */
static const struct tensor_row stem_rows[] = {
    [STEM_CONV] = {"0.weight", "wcss", LAYOUT_PANELS, INITIAL_TOKENS, 0},
    {"0.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [STEM_NORM] = {"1.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"1.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
};

enum { DOWN_NORM, DOWN_CONV = DOWN_NORM + 2 };

/* In a shape, i is the width of the stage before, w that of this one, s the side of a kernel. */
static const struct tensor_row downsample_rows[] = {
    [DOWN_NORM] = {"0.weight", "i", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"0.bias", "i", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [DOWN_CONV] = {"1.weight", "wiss", LAYOUT_PANELS, INITIAL_TOKENS, 0},
    {"1.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
};

enum { DEPTHWISE, NORM = DEPTHWISE + 2, FC1 = NORM + 2, FC2 = FC1 + 2, GAMMA = FC2 + 2 };

/* In a shape, w is the width, m the MLP's width, s the side of a kernel, and e is 1. */
static const struct tensor_row block_rows[] = {
    [DEPTHWISE] = {"conv_dw.weight", "wess", LAYOUT_TAPS, INITIAL_TOKENS, 0},
    {"conv_dw.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [NORM] = {"norm.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"norm.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [FC1] = {"mlp.fc1.weight", "mw", LAYOUT_PANELS, INITIAL_TOKENS, 0},
    {"mlp.fc1.bias", "m", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [FC2] = {"mlp.fc2.weight", "wm", LAYOUT_PANELS, INITIAL_TOKENS, 0},
    {"mlp.fc2.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [GAMMA] = {"gamma", "w", LAYOUT_ROWS, INITIAL_SCALE, 0},
};

/* In a shape, w is the last stage's width, d that of the embedding, m that between two matrices. */
enum { HEAD_NORM, LINEAR = HEAD_NORM + 2, MLP_FC1 = LINEAR, MLP_FC2 = MLP_FC1 + 2 };
#define HEAD_NORM_ROWS                                                                    \
    [HEAD_NORM] = {"trunk.head.norm.weight", "w", LAYOUT_ROWS, INITIAL_ONE, TENSOR_HEAD}, \
    {                                                                                     \
        "trunk.head.norm.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_HEAD               \
    }

static const struct tensor_row linear_rows[] = {
    HEAD_NORM_ROWS,
    [LINEAR] = {"head.proj.weight", "dw", LAYOUT_PANELS, INITIAL_CONV,
                TENSOR_DELICATE | TENSOR_HEAD},
};
static const struct tensor_row mlp_rows[] = {
    HEAD_NORM_ROWS,
    [MLP_FC1] = {"head.mlp.fc1.weight", "mw", LAYOUT_PANELS, INITIAL_CONV,
                 TENSOR_DELICATE | TENSOR_HEAD},
    {"head.mlp.fc1.bias", "m", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_HEAD},
    [MLP_FC2] = {"head.mlp.fc2.weight", "dm", LAYOUT_PANELS, INITIAL_CONV,
                 TENSOR_DELICATE | TENSOR_HEAD},
};

static void stem_group(const struct config *config, struct tensor_group *group)
{
    *group = (struct tensor_group){
        .prefix = "visual.trunk.stem.", .rows = stem_rows, .count = ARRAY_COUNT(stem_rows)};
    group_set(group, 'c', COLOURS);
    group_set(group, 's', STEM);
    group_set(group, 'w', config->stage_widths[0]);
}

/* Returns how many blocks come before one of a stage. */
static uint32_t count_blocks(const struct config *config, uint32_t stage, uint32_t block)
{
    uint32_t count = block;
    for (uint32_t i = 0; i < stage; i++)
        count += config->stages[i];
    return count;
}

/* A downsampling belongs to the block after it. */
static void downsample_group(const struct config *config, uint32_t stage,
                             struct tensor_group *group)
{
    *group = (struct tensor_group){.rows = downsample_rows,
                                   .count = ARRAY_COUNT(downsample_rows),
                                   .block = count_blocks(config, stage, 0) + 1};
    snprintf(group->prefix, sizeof(group->prefix), "visual.trunk.stages.%u.downsample.", stage);
    group_set(group, 'i', config->stage_widths[stage - 1]);
    group_set(group, 'w', config->stage_widths[stage]);
    group_set(group, 's', HALF);
}

static void block_group_of_stage(const struct config *config, uint32_t stage, uint32_t block,
                                 struct tensor_group *group)
{
    const uint64_t width = config->stage_widths[stage];
    *group = (struct tensor_group){.rows = block_rows,
                                   .scale = 1e-6,
                                   .count = ARRAY_COUNT(block_rows),
                                   .block = count_blocks(config, stage, block) + 1};
    snprintf(group->prefix, sizeof(group->prefix), "visual.trunk.stages.%u.blocks.%u.", stage,
             block);
    group_set(group, 'w', width);
    group_set(group, 'm', 4 * width);
    group_set(group, 's', KERNEL);
    group_set(group, 'e', 1);
}

static void head_group(const struct config *config, struct tensor_group *group)
{
    const bool mlp = config->image.inner > 0;
    *group = (struct tensor_group){.prefix = "visual.",
                                   .rows = mlp ? mlp_rows : linear_rows,
                                   .count = mlp ? ARRAY_COUNT(mlp_rows) : ARRAY_COUNT(linear_rows)};
    group_set(group, 'w', config->stage_widths[CONFIG_STAGES - 1]);
    group_set(group, 'm', config->image.inner);
    group_set(group, 'd', config->image_embed_dim);
}

/* Group 0 is the stem, then every stage has its downsampling, if it has one, and its blocks. */
static bool describe_group(const struct config *config, uint32_t index, struct tensor_group *group)
{
    if (!index) {
        stem_group(config, group);
        return true;
    }
    uint32_t place = index - 1;
    for (uint32_t stage = 0; stage < CONFIG_STAGES; stage++) {
        const uint32_t before = stage > 0; /* groups before the blocks */
        if (place < before) {
            downsample_group(config, stage, group);
            return true;
        }
        if (place < before + config->stages[stage]) {
            block_group_of_stage(config, stage, place - before, group);
            return true;
        }
        place -= before + config->stages[stage];
    }
    head_group(config, group);
    return !place;
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

void convnext_derive_sizes(struct config *config)
{
    struct config_tower *tower = &config->image;
    tower->width = config->stage_widths[0];
    tower->layers = 0;
    for (size_t i = 0; i < CONFIG_STAGES; i++)
        tower->layers += config->stages[i];
    tower->projection = true;
    tower->activation = VKCLIP_ACTIVATION_GELU;
    config->patch_size = STRIDE;
}

float convnext_epsilon(uint32_t width)
{
    return width == 384 ? 1e-5f : 1e-6f;
}

static uint32_t get_block_size(const struct tower_sizes *sizes, uint32_t stage, uint32_t block)
{
    char name[64];
    snprintf(name, sizeof(name), "visual.trunk.stages.%u.blocks.%u.conv_dw.weight", stage, block);
    return sizes->get(sizes->checkpoint, name, 0);
}

/* The size of pictures is in no tensor. */
static void read_sizes(const struct tower_sizes *sizes, struct config *config)
{
    const void *checkpoint = sizes->checkpoint;
    for (uint32_t stage = 0; stage < CONFIG_STAGES; stage++) {
        config->stages[stage] = 0;
        config->stage_widths[stage] = get_block_size(sizes, stage, 0);
        while (get_block_size(sizes, stage, config->stages[stage]))
            config->stages[stage]++;
    }
    config->image.inner = sizes->get(checkpoint, "visual.head.mlp.fc1.weight", 0);
    config->image_embed_dim = sizes->get(
        checkpoint, config->image.inner ? "visual.head.mlp.fc2.weight" : "visual.head.proj.weight",
        0);
    config->image.epsilon = convnext_epsilon(config->stage_widths[0]);
    convnext_derive_sizes(config);
}

static int check_sizes(const char *path, const struct config *config)
{
    int error = VKCLIP_OK;
    for (size_t i = 0; i < CONFIG_STAGES && !error; i++) {
        error = tower_check_size(path, "image", "blocks of a stage", config->stages[i], 256);
        if (!error)
            error =
                tower_check_size(path, "image", "width of a stage", config->stage_widths[i], 16384);
    }
    if (!error && config->image.inner)
        error = tower_check_size(path, "image", "projection's width", config->image.inner, 65536);
    if (!error)
        error = tower_check_size(path, "image", "embedding", config->image_embed_dim, 16384);
    return error ? error : tower_check_picture(path, config);
}

static void describe_tower(const struct config *config, struct vkclip_tower_info *info)
{
    const uint32_t side = config->image_size / STRIDE;
    info->positions = side * side;
}

/* ---- Graph ----------------------------------------------------------------------------------- */

/* Appends x + gamma * mlp(norm(convolution(x))). */
static int append_block(const struct config *config, struct graph *graph, const char *result,
                        const struct tensor_group *group, int x)
{
    const int weight = group_weight(graph, group, DEPTHWISE);
    int y = graph_dwconv(graph, NULL, x, weight, group_weight(graph, group, DEPTHWISE + 1));
    y = block_layernorm(graph, NULL, y, group, NORM, config->image.epsilon);
    y = block_linear(graph, NULL, y, group, FC1, config->image.activation, -1);
    return block_scaled_linear(graph, result, y, group, FC2, GAMMA, x);
}

/* Appends the convolution that halves the sides as a product with rows of four pixels. */
static int append_downsample(const struct config *config, struct graph *graph, uint32_t stage,
                             int x)
{
    struct tensor_group group;
    char result[64];
    downsample_group(config, stage, &group);
    snprintf(result, sizeof(result), "vision.downsample%u", stage);
    x = block_layernorm(graph, NULL, x, &group, DOWN_NORM, config->image.epsilon);
    x = graph_unfold(graph, NULL, x, HALF);
    return block_linear(graph, result, x, &group, DOWN_CONV, VKCLIP_ACTIVATION_AUTO, -1);
}

static int append_stages(const struct config *config, struct graph *graph, int x)
{
    for (uint32_t stage = 0; stage < CONFIG_STAGES; stage++) {
        if (stage)
            x = append_downsample(config, graph, stage, x);
        for (uint32_t block = 0; block < config->stages[stage]; block++) {
            struct tensor_group group;
            char result[64];
            block_group_of_stage(config, stage, block, &group);
            snprintf(result, sizeof(result), "vision.stage%u.%u", stage, block);
            graph_begin_segment(graph);
            x = append_block(config, graph, result, &group, x);
            graph_end_segment(graph);
        }
    }
    return x;
}

static void append_head(const struct config *config, struct graph *graph, int x,
                        struct tower_tensors *tensors)
{
    const enum vkclip_activation none = VKCLIP_ACTIVATION_AUTO;
    struct tensor_group group;
    size_t last = LINEAR;
    head_group(config, &group);
    x = graph_mean(graph, NULL, x, -1, 0);
    x = block_layernorm(graph, "vision.pooled", x, &group, HEAD_NORM, config->image.epsilon);
    if (config->image.inner) {
        x = block_linear(graph, NULL, x, &group, MLP_FC1, VKCLIP_ACTIVATION_GELU, -1);
        last = MLP_FC2;
    }
    tensors->embeddings =
        graph_matmul(graph, "vision.projected", x, group_weight(graph, &group, last), -1, none, -1);
    tensors->normalized = graph_normalize(graph, "vision.normalized", tensors->embeddings);
}

static void append_convnext(const struct config *config, const struct tower_features *features,
                            uint32_t batch, struct graph *graph, struct tower_tensors *tensors)
{
    const uint32_t side = config->image_size / STEM;
    const uint32_t shape[] = {batch, side, side, COLOURS * STEM * STEM};
    struct tensor_group group;
    stem_group(config, &group);
    /* tower_find_features refuses other features for a tower without blocks of tokens. */
    int x = block_pictures(config, features, STEM, 4, shape, graph, tensors);
    x = block_linear(graph, NULL, x, &group, STEM_CONV, VKCLIP_ACTIVATION_AUTO, -1);
    x = block_layernorm(graph, "vision.stem", x, &group, STEM_NORM, config->image.epsilon);
    append_head(config, graph, append_stages(config, graph, x), tensors);
}

const struct tower_row tower_convnext = {
    .tower = TOWER_IMAGE,
    .prefixes = {"visual.trunk.stages."},
    .closed = "visual.",
    .lock_groups = true,
    .read = read_sizes,
    .check = check_sizes,
    .describe = describe_tower,
    .group = describe_group,
    .append = append_convnext,
};
