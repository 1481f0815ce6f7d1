/* SPDX-License-Identifier: MIT
 *
 * ModifiedResNet image towers (paper, section 2.4; clip/model.py): sizes from the tensors' shapes,
 * and the list of its tensors. Five sizes are published: RN50, RN101, RN50x4, RN50x16, RN50x64.
 */
#include "base/array.h"
#include "checkpoint/open.h"

#include <math.h>
#include <stdio.h>

#define STAGES 4

uint32_t config_resnet_channels(const struct config *config)
{
    return 32 * config->image.width;
}

static uint32_t dimension(const struct weights *weights, const char *name, unsigned index)
{
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank;
    bool there = weights_shape(weights, name, shape, &rank) && index < rank;
    return there && shape[index] <= INT32_MAX ? (uint32_t)shape[index] : 0;
}

void config_resnet_read(const struct weights *weights, struct config *config)
{
    struct config_tower *tower = &config->image;
    char name[128];
    *tower = (struct config_tower){.kind = KIND_RESNET, .projection = true, .epsilon = 1e-5f};
    for (unsigned stage = 0; stage < STAGES; stage++) {
        uint32_t *blocks = &config->stages[stage];
        do
            snprintf(name, sizeof(name), "visual.layer%u.%u.conv1.weight", stage + 1, *blocks);
        while (dimension(weights, name, 0) && ++*blocks);
        tower->layers += *blocks;
    }
    tower->width = dimension(weights, "visual.layer1.0.conv1.weight", 0);
    tower->heads = tower->width / 2; /* channels / 64 */
    tower->mlp = config_resnet_channels(config);
    uint32_t positions = dimension(weights, "visual.attnpool.positional_embedding", 0);
    config->patch_size = 32;
    config->image_size = 32 * (uint32_t)sqrt(positions ? positions - 1 : 0);
    config->image_embed_dim = dimension(weights, "visual.attnpool.c_proj.weight", 0);
}

/* A convolution without bias and its batch norm. */
static int each_conv(const char *prefix, const char *conv, const char *norm,
                     const uint64_t shape[4], config_tensor_fn *each, void *user)
{
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    char name[128];
    snprintf(name, sizeof(name), "%s%s.weight", prefix, conv);
    int error = each(user, name, 4, shape);
    for (size_t i = 0; i < ARRAY_COUNT(parts) && !error; i++) {
        snprintf(name, sizeof(name), "%s%s.%s", prefix, norm, parts[i]);
        error = each(user, name, 1, shape);
    }
    return error;
}

static int each_of_bottleneck(unsigned stage, uint32_t number, uint64_t in, uint64_t planes,
                              config_tensor_fn *each, void *user)
{
    const uint64_t first[] = {planes, in, 1, 1}, second[] = {planes, planes, 3, 3},
                   last[] = {4 * planes, planes, 1, 1}, down[] = {4 * planes, in, 1, 1};
    char prefix[64];
    snprintf(prefix, sizeof(prefix), "visual.layer%u.%u.", stage + 1, number);
    int error = each_conv(prefix, "conv1", "bn1", first, each, user);
    error = error ? error : each_conv(prefix, "conv2", "bn2", second, each, user);
    error = error ? error : each_conv(prefix, "conv3", "bn3", last, each, user);
    if (!number && !error)
        error = each_conv(prefix, "downsample.0", "downsample.1", down, each, user);
    return error;
}

static int each_of_pool(const struct config *config, config_tensor_fn *each, void *user)
{
    const uint64_t grid = config->image_size / 32, channels = config_resnet_channels(config);
    const uint64_t positions[] = {grid * grid + 1, channels}, in[] = {3 * channels, channels},
                   out[] = {config->image_embed_dim, channels};
    int error = each(user, "visual.attnpool.positional_embedding", 2, positions);
    error = error ? error : each(user, "visual.attnpool.in_proj_weight", 2, in);
    error = error ? error : each(user, "visual.attnpool.in_proj_bias", 1, in);
    error = error ? error : each(user, "visual.attnpool.c_proj.weight", 2, out);
    error = error ? error : each(user, "visual.attnpool.c_proj.bias", 1, out);
    return error;
}

int config_resnet_each(const struct config *config, config_tensor_fn *each, void *user)
{
    const uint64_t width = config->image.width, half = width / 2;
    const uint64_t stem[][4] = {{half, 3, 3, 3}, {half, half, 3, 3}, {width, half, 3, 3}};
    int error = each_conv("visual.", "conv1", "bn1", stem[0], each, user);
    error = error ? error : each_conv("visual.", "conv2", "bn2", stem[1], each, user);
    error = error ? error : each_conv("visual.", "conv3", "bn3", stem[2], each, user);
    uint64_t in = width;
    for (unsigned stage = 0; stage < STAGES && !error; stage++)
        for (uint32_t i = 0; i < config->stages[stage] && !error; i++) {
            error = each_of_bottleneck(stage, i, in, width << stage, each, user);
            in = 4 * (width << stage);
        }
    return error ? error : each_of_pool(config, each, user);
}
