/* SPDX-License-Identifier: MIT
 *
 * ModifiedResNet image towers (paper, section 2.4; clip/model.py): sizes from the tensors' shapes,
 * and every tensor checked. Five sizes are published: RN50, RN101, RN50x4, RN50x16, RN50x64.
 */
#include "config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

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
    *tower = (struct config_tower){.present = true, .projection = true, .epsilon = 1e-5f};
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

/* ---- Checking
 * ------------------------------------------------------------------------------------ */

static int check(const struct weights *weights, const char *name, unsigned rank,
                 const uint32_t *expected)
{
    uint64_t found[TENSOR_MAX_RANK];
    unsigned found_rank = 0;
    bool there = weights_shape(weights, name, found, &found_rank),
         same = there && found_rank == rank;
    for (unsigned i = 0; i < rank && same; i++)
        same = found[i] == expected[i];
    if (same)
        return VKCLIP_OK;
    char text[2][96] = {"[", "["};
    for (int which = 0; which < 2; which++)
        for (unsigned i = 0; i < (which ? found_rank : rank); i++) {
            size_t at = strlen(text[which]);
            snprintf(text[which] + at, sizeof(text[which]) - at, "%s%llu", i ? "," : "",
                     which ? (unsigned long long)found[i] : (unsigned long long)expected[i]);
        }
    return util_fail(VKCLIP_EFORMAT, "%s: tensor %s: expected shape %s], found %s",
                     weights_path(weights), name, text[0],
                     there ? strncat(text[1], "]", 2) : "none: it is missing");
}

/* A convolution without bias and its batch norm. */
static int check_conv(const struct weights *weights, const char *prefix, const char *conv,
                      const char *norm, uint32_t out, uint32_t in, uint32_t size)
{
    static const char *const parts[] = {"weight", "bias", "running_mean", "running_var"};
    const uint32_t shape[] = {out, in, size, size};
    char name[128];
    snprintf(name, sizeof(name), "%s%s.weight", prefix, conv);
    int error = check(weights, name, 4, shape);
    for (size_t i = 0; i < UTIL_COUNT(parts) && !error; i++) {
        snprintf(name, sizeof(name), "%s%s.%s", prefix, norm, parts[i]);
        error = check(weights, name, 1, shape);
    }
    return error;
}

static int check_bottleneck(const struct weights *weights, unsigned stage, uint32_t number,
                            uint32_t in, uint32_t planes)
{
    char prefix[64];
    snprintf(prefix, sizeof(prefix), "visual.layer%u.%u.", stage + 1, number);
    int error = check_conv(weights, prefix, "conv1", "bn1", planes, in, 1);
    error = error ? error : check_conv(weights, prefix, "conv2", "bn2", planes, planes, 3);
    error = error ? error : check_conv(weights, prefix, "conv3", "bn3", 4 * planes, planes, 1);
    if (!number && !error)
        error = check_conv(weights, prefix, "downsample.0", "downsample.1", 4 * planes, in, 1);
    return error;
}

int config_resnet_check(const struct weights *weights, const struct config *config)
{
    const uint32_t width = config->image.width, half = width / 2;
    const uint32_t grid = config->image_size / 32, channels = config_resnet_channels(config);
    int error = check_conv(weights, "visual.", "conv1", "bn1", half, 3, 3);
    error = error ? error : check_conv(weights, "visual.", "conv2", "bn2", half, half, 3);
    error = error ? error : check_conv(weights, "visual.", "conv3", "bn3", width, half, 3);
    uint32_t in = width;
    for (unsigned stage = 0; stage < STAGES && !error; stage++) {
        uint32_t planes = width << stage;
        if (!config->stages[stage] || config->stages[stage] > 256)
            error = util_fail(VKCLIP_EFORMAT,
                              "%s: stage %u of the ModifiedResNet: expected 1 to 256 "
                              "bottlenecks, found %u",
                              weights_path(weights), stage + 1, config->stages[stage]);
        for (uint32_t i = 0; i < config->stages[stage] && !error; i++, in = 4 * planes)
            error = check_bottleneck(weights, stage, i, in, planes);
    }
    const uint32_t positions[] = {grid * grid + 1, channels};
    error = error ? error : check(weights, "visual.attnpool.positional_embedding", 2, positions);
    const uint32_t in_proj[] = {3 * channels, channels},
                   proj[] = {config->image_embed_dim, channels};
    error = error ? error : check(weights, "visual.attnpool.in_proj_weight", 2, in_proj);
    error = error ? error : check(weights, "visual.attnpool.in_proj_bias", 1, in_proj);
    error = error ? error : check(weights, "visual.attnpool.c_proj.weight", 2, proj);
    error = error ? error : check(weights, "visual.attnpool.c_proj.bias", 1, proj);
    return error;
}
