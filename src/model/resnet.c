/* SPDX-License-Identifier: MIT
 *
 * The ModifiedResNet of CLIP (paper, section 2.4; clip/model.py, ModifiedResNet). Five sizes are
 * published: RN50, RN101, RN50x4, RN50x16, RN50x64. A picture gets its channels last and a fourth
 * one of zeros, because kernels load four channels at once. Batch norm is folded into the
 * convolution before it, except in training, where it needs the convolution's own result.
 */
#include "model/resnet.h"
#include "base/array.h"
#include "model/blocks.h"

#include <math.h>
#include <string.h>

/* Number of pixels per side that become one position of the last stage: the stem halves the side
 * twice, and each stage but the first once. */
#define STRIDE 32
/* Pictures have three colours and one channel of zeros on the device. */
#define CHANNELS 4
/* The epsilon is that of torch.nn.BatchNorm2d. */
#define NORM_EPSILON 1e-5f
#define NORM_MOMENTUM 0.1f

/* ---- Tensors --------------------------------------------------------------------------------- */

/* A convolution has no bias and is followed by a batch norm; together they have CONV_ROWS rows. */
enum { CONV_WEIGHT, NORM_GAIN, NORM_BIAS, NORM_MEAN, NORM_VARIANCE, CONV_ROWS };
#define CONV_AND_NORM(conv, norm, shape, out, layout, gain)                                        \
    {conv ".weight", shape, layout, INITIAL_CONV, 0}, {norm ".weight", out, LAYOUT_ROWS, gain, 0}, \
        {norm ".bias", out, LAYOUT_ROWS, INITIAL_ZERO, 0},                                         \
        {norm ".running_mean", out, LAYOUT_ROWS, INITIAL_ZERO, TENSOR_STATISTIC},                  \
    {                                                                                              \
        norm ".running_var", out, LAYOUT_ROWS, INITIAL_ONE, TENSOR_STATISTIC                       \
    }

/* The rows of a convolution begin at CONV_ROWS times its number within the group. */
enum { CONV1, CONV2, CONV3, DOWNSAMPLE };

/* In a shape, c is the number of colours, h half the width, w the width, s the side of a kernel. */
static const struct tensor_row stem_rows[] = {
    CONV_AND_NORM("conv1", "bn1", "hcss", "h", LAYOUT_CONV, INITIAL_ONE),
    CONV_AND_NORM("conv2", "bn2", "hhss", "h", LAYOUT_CONV, INITIAL_ONE),
    CONV_AND_NORM("conv3", "bn3", "whss", "w", LAYOUT_CONV, INITIAL_ONE),
};

/* In a shape, i is the number of input channels, p that of inner channels, o that of output
 * channels, s the side of a kernel, and e is 1. The gain of bn3 is 0 at first, so that a new block
 * is the identity. Only the first block of a stage has the rows of `downsample`. */
static const struct tensor_row bottleneck_rows[] = {
    CONV_AND_NORM("conv1", "bn1", "piee", "p", LAYOUT_PANELS, INITIAL_ONE),
    CONV_AND_NORM("conv2", "bn2", "ppss", "p", LAYOUT_CONV, INITIAL_ONE),
    CONV_AND_NORM("conv3", "bn3", "opee", "o", LAYOUT_PANELS, INITIAL_ZERO),
    CONV_AND_NORM("downsample.0", "downsample.1", "oiee", "o", LAYOUT_PANELS, INITIAL_ONE),
};

/* In a shape, n is the number of the last stage's positions and their mean, o the number of its
 * channels, q the length of query, key and value together, d that of the embedding. */
enum { POSITIONS, QKV, PROJECTION = QKV + 2 };
static const struct tensor_row pool_rows[] = {
    [POSITIONS] = {"positional_embedding", "no", LAYOUT_ROWS, INITIAL_FAN_IN, 0},
    [QKV] = {"in_proj_weight", "qo", LAYOUT_PANELS, INITIAL_FAN_IN, 0},
    {"in_proj_bias", "q", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [PROJECTION] = {"c_proj.weight", "do", LAYOUT_PANELS, INITIAL_FAN_IN, 0},
    {"c_proj.bias", "d", LAYOUT_ROWS, INITIAL_ZERO, 0},
};

static void stem_group(const struct config *config, struct tensor_group *group)
{
    *group = (struct tensor_group){
        .prefix = "visual.", .rows = stem_rows, .count = ARRAY_COUNT(stem_rows)};
    group_set(group, 'c', 3);
    group_set(group, 'h', config->image.width / 2);
    group_set(group, 'w', config->image.width);
    group_set(group, 's', 3);
}

static void bottleneck_group(const struct config *config, uint32_t stage, uint32_t block,
                             struct tensor_group *group)
{
    const uint64_t planes = (uint64_t)config->image.width << stage;
    uint64_t in = 4 * planes;
    if (!block) /* The stem's output has as many channels as the first stage has planes. */
        in = stage ? 2 * planes : planes;
    *group = (struct tensor_group){.rows = bottleneck_rows,
                                   .count = CONV_ROWS * (block ? DOWNSAMPLE : DOWNSAMPLE + 1)};
    snprintf(group->prefix, sizeof(group->prefix), "visual.layer%u.%u.", stage + 1, block);
    group_set(group, 'i', in);
    group_set(group, 'p', planes);
    group_set(group, 'o', 4 * planes);
    group_set(group, 's', 3);
    group_set(group, 'e', 1);
}

static void pool_group(const struct config *config, struct tensor_group *group)
{
    const uint64_t side = config->image_size / STRIDE, channels = config->image.mlp;
    *group = (struct tensor_group){
        .prefix = "visual.attnpool.", .rows = pool_rows, .count = ARRAY_COUNT(pool_rows)};
    group_set(group, 'n', side * side + 1);
    group_set(group, 'o', channels);
    group_set(group, 'q', 3 * channels);
    group_set(group, 'd', config->image_embed_dim);
}

static bool describe_group(const struct config *config, uint32_t index, struct tensor_group *group)
{
    if (!index) {
        stem_group(config, group);
        return true;
    }
    uint32_t block = index - 1;
    for (uint32_t stage = 0; stage < CONFIG_STAGES; stage++) {
        if (block < config->stages[stage]) {
            bottleneck_group(config, stage, block, group);
            return true;
        }
        block -= config->stages[stage];
    }
    pool_group(config, group);
    return !block;
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

static bool has_block(const struct tower_sizes *sizes, uint32_t stage, uint32_t block)
{
    char name[64];
    snprintf(name, sizeof(name), "visual.layer%u.%u.conv1.weight", stage + 1, block);
    return sizes->get(sizes->checkpoint, name, 0) > 0;
}

void resnet_derive_sizes(struct config *config, uint32_t head_width)
{
    struct config_tower *tower = &config->image;
    /* The last stage has 8 times the stem's channels, and a bottleneck ends in 4 times its own. */
    const uint64_t channels = 32 * (uint64_t)tower->width;
    tower->layers = 0;
    for (size_t i = 0; i < CONFIG_STAGES; i++)
        tower->layers += config->stages[i];
    tower->mlp = channels < UINT32_MAX ? (uint32_t)channels : UINT32_MAX;
    tower->heads = tower->mlp / head_width;
    tower->epsilon = 1e-5f;
    config->patch_size = STRIDE;
}

static void read_sizes(const struct tower_sizes *sizes, struct config *config)
{
    const void *checkpoint = sizes->checkpoint;
    const uint32_t positions = sizes->get(checkpoint, "visual.attnpool.positional_embedding", 0);
    for (uint32_t stage = 0; stage < CONFIG_STAGES; stage++)
        while (has_block(sizes, stage, config->stages[stage]))
            config->stages[stage]++;
    config->image.width = sizes->get(checkpoint, "visual.layer1.0.conv1.weight", 0);
    config->image_size = STRIDE * (uint32_t)sqrt(positions ? positions - 1 : 0);
    config->image_embed_dim = sizes->get(checkpoint, "visual.attnpool.c_proj.weight", 0);
    resnet_derive_sizes(config, 64);
}

static int check_sizes(const char *path, const struct config *config)
{
    struct config_tower tower = config->image;
    int error = VKCLIP_OK;
    tower.width = tower.mlp; /* The attention pool's heads divide all channels. */
    for (size_t i = 0; i < CONFIG_STAGES && !error; i++)
        error = tower_check_size(path, "image", "bottlenecks of a stage", config->stages[i], 256);
    if (!error)
        error = tower_check_widths(path, "image", &tower, config->image_embed_dim);
    return error ? error : tower_check_picture(path, config);
}

static void describe_tower(const struct config *config, struct vkclip_tower_info *info)
{
    const uint32_t side = config->image_size / STRIDE;
    info->positions = side * side + 1; /* positions of the last stage, and their mean */
    info->mlp = 0;
    /* Every activation is a ReLU, which the enum does not have. */
    info->activation = VKCLIP_ACTIVATION_AUTO;
}

/* ---- Graph ----------------------------------------------------------------------------------- */

/* Appends the gain or bias of a batch norm in training. Where statistics are frozen, one op reads
 * them together with the gain and bias, which must then be fp32 like the statistics. */
static int append_parameter(struct graph *graph, const struct tensor_group *group, size_t row)
{
    return graph->frozen ? group_weight_f32(graph, group, row) : group_weight(graph, group, row);
}

/* Moves the running mean or variance towards the batch's, which are in `stats`. The batch's
 * variance of n values is divided by n, but the running variance by n - 1. */
static void append_running(struct graph *graph, int stats, bool variance, uint32_t n, int running)
{
    struct node node = {.op = OP_RUNNING,
                        .in = {stats, -1, -1},
                        .residual = true,
                        .running = {.variance = variance,
                                    .epsilon = NORM_EPSILON,
                                    .momentum = NORM_MOMENTUM,
                                    .unbias = n > 1 ? (float)n / (float)(n - 1) : 1}};
    graph_append_into(graph, node, running);
}

/* Appends the batch norm of a training graph. It uses the batch's statistics and moves the running
 * ones towards them, or uses the running ones if they are frozen. `row` is the first row of its
 * convolution. */
static int append_norm(struct graph *graph, const struct tensor_group *group, size_t row, int x,
                       int residual, bool relu)
{
    const int mean = group_weight_f32(graph, group, row + NORM_MEAN);
    const int variance = group_weight_f32(graph, group, row + NORM_VARIANCE);
    const int gain = append_parameter(graph, group, row + NORM_GAIN);
    const int bias = append_parameter(graph, group, row + NORM_BIAS);
    if (graph->error)
        return -1;
    const uint32_t n = tensor_rows(&graph->tensors[x]);
    graph->tensors[mean].locked = true;
    graph->tensors[variance].locked = true;
    if (graph->frozen) {
        const int stats = graph_runningstats(graph, mean, variance, gain, bias, NORM_EPSILON);
        return graph_batchnorm(graph, NULL, x, stats, residual, relu);
    }
    const int stats = graph_batchstats(graph, x, gain, bias, NORM_EPSILON);
    x = graph_batchnorm(graph, NULL, x, stats, residual, relu);
    append_running(graph, stats, false, n, mean);
    append_running(graph, stats, true, n, variance);
    return x;
}

/* Marks the weight and bias of a convolution, so that its batch norm is folded into them when they
 * are read. */
static void fold_norm(struct graph *graph, const struct tensor_group *group, size_t row, int weight,
                      int bias)
{
    char norm[64];
    snprintf(norm, sizeof(norm), "%s%s", group->prefix, group->rows[row + NORM_GAIN].name);
    *strrchr(norm, '.') = 0;
    graph_fold(graph, weight, norm);
    graph_fold(graph, bias, norm);
}

/* Appends convolution number `conv` of a group and its batch norm. A convolution with a 1 x 1
 * kernel is computed as a matrix product. */
static int append_conv(struct graph *graph, const struct tensor_group *group, size_t conv, int x,
                       uint32_t stride, int residual, bool relu)
{
    const size_t row = CONV_ROWS * conv;
    const int weight = group_weight(graph, group, row + CONV_WEIGHT);
    const int bias = graph->training ? -1 : group_weight(graph, group, row + NORM_BIAS);
    const int sum = graph->training ? -1 : residual;
    if (group->rows[row].layout == LAYOUT_CONV)
        x = graph_conv(graph, NULL, x, weight, bias, stride);
    else
        x = graph_matmul(graph, NULL, x, weight, bias, VKCLIP_ACTIVATION_AUTO, sum);
    if (graph->training)
        return append_norm(graph, group, row, x, residual, relu);
    fold_norm(graph, group, row, weight, bias);
    if (relu)
        graph_relu(graph, x);
    return x;
}

/* Appends a bottleneck as in clip/model.py, Bottleneck: an average pool after the second
 * convolution takes the place of a stride. */
static int append_bottleneck(struct graph *graph, const struct tensor_group *group, int x,
                             uint32_t stride, bool downsample)
{
    int identity = x;
    int y = append_conv(graph, group, CONV1, x, 1, -1, true);
    y = append_conv(graph, group, CONV2, y, 1, -1, true);
    if (stride > 1)
        y = graph_avgpool(graph, NULL, y, stride);
    if (downsample && stride > 1)
        identity = graph_avgpool(graph, NULL, identity, stride);
    if (downsample)
        identity = append_conv(graph, group, DOWNSAMPLE, identity, 1, -1, false);
    return append_conv(graph, group, CONV3, y, 1, identity, true);
}

/* Appends the pool of clip/model.py, AttentionPool2d: the mean is put before all positions, and
 * only the attention's row for the mean is kept. */
static void append_pool(const struct config *config, struct graph *graph, int x,
                        struct tower_tensors *tensors)
{
    struct tensor_group group;
    pool_group(config, &group);
    x = graph_meantoken(graph, NULL, x, group_weight(graph, &group, POSITIONS));
    x = block_linear(graph, NULL, x, &group, QKV, VKCLIP_ACTIVATION_AUTO, -1);
    x = graph_attention(graph, NULL, x, config->image.heads, false);
    x = graph_select(graph, NULL, x, -1);
    tensors->embeddings =
        block_linear(graph, "vision.projected", x, &group, PROJECTION, VKCLIP_ACTIVATION_AUTO, -1);
    tensors->normalized = graph_normalize(graph, "vision.normalized", tensors->embeddings);
}

static void append_resnet(const struct config *config, const struct tower_features *features,
                          uint32_t batch, struct graph *graph, struct tower_tensors *tensors)
{
    const uint32_t shape[] = {batch, config->image_size, config->image_size, CHANNELS};
    struct tensor_group group;
    stem_group(config, &group);
    /* tower_find_features refuses other features for a tower without blocks. */
    int x = block_pictures(config, features, 1, 4, shape, graph, tensors);
    x = append_conv(graph, &group, CONV1, x, 2, -1, true);
    x = append_conv(graph, &group, CONV2, x, 1, -1, true);
    x = append_conv(graph, &group, CONV3, x, 1, -1, true);
    x = graph_avgpool(graph, "vision.stem", x, 2);
    for (uint32_t stage = 0; stage < CONFIG_STAGES; stage++)
        for (uint32_t block = 0; block < config->stages[stage]; block++) {
            const bool first = block == 0;
            char result[64];
            bottleneck_group(config, stage, block, &group);
            snprintf(result, sizeof(result), "vision.layer%u.%u", stage + 1, block);
            graph_begin_segment(graph);
            x = append_bottleneck(graph, &group, x, stage && first ? 2 : 1, first);
            graph_rename(graph, x, result);
        }
    graph_end_segment(graph);
    append_pool(config, graph, x, tensors);
}

const struct tower_row tower_resnet = {
    .tower = TOWER_IMAGE,
    .prefixes = {"visual.layer1."},
    .closed = "visual.",
    .position_table = "visual.attnpool.positional_embedding",
    .batch_norm = true,
    .read = read_sizes,
    .check = check_sizes,
    .describe = describe_tower,
    .group = describe_group,
    .append = append_resnet,
};
