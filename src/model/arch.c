/* SPDX-License-Identifier: MIT
 *
 * Random weights of the scales that the paper's code begins training with (clip/model.py,
 * initialize_parameters; for what it leaves alone the scale of torch's own).
 * Integers and square roots only, so that a seed gives the same bytes on every machine.
 */
#include "model/arch.h"
#include "base/array.h"
#include "base/error.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/string.h"
#include "checkpoint/open.h"
#include "checkpoint/write.h"
#include "base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The table ------------------------------------------------------------------------------- */

struct arch {
    const char *name;
    uint32_t embed_dim;
    uint32_t image_size, patch, stages[4];
    uint32_t width, layers, heads, mlp; /* image; of a ModifiedResNet only the width */
    uint32_t text_width, text_layers, context, vocabulary;
    enum vkclip_activation activation;
};

#define QUICK VKCLIP_ACTIVATION_QUICK_GELU
#define GELU VKCLIP_ACTIVATION_GELU
#define VIT(name, dim, size, patch, width, layers, heads, mlp, text, text_layers, activation) \
    {                                                                                         \
        name, dim, size, patch, {0}, width, layers, heads, mlp, text, text_layers, 77, 49408, \
            activation                                                                        \
    }
#define RESNET(name, dim, size, width, text, ...)                                      \
    {                                                                                  \
        name, dim, size, 32, {__VA_ARGS__}, width, 0, 0, 0, text, 12, 77, 49408, QUICK \
    }
static const struct arch archs[] = {
    VIT("ViT-B-32", 512, 224, 32, 768, 12, 12, 3072, 512, 12, QUICK), /* OpenAI's, as published */
    VIT("ViT-B-16", 512, 224, 16, 768, 12, 12, 3072, 512, 12, QUICK),
    VIT("ViT-L-14", 768, 224, 14, 1024, 24, 16, 4096, 768, 12, QUICK),
    VIT("ViT-L-14-336", 768, 336, 14, 1024, 24, 16, 4096, 768, 12, QUICK),
    VIT("ViT-H-14", 1024, 224, 14, 1280, 32, 16, 5120, 1024, 24, GELU), /* LAION's */
    VIT("ViT-g-14", 1024, 224, 14, 1408, 40, 16, 6144, 1024, 24, GELU),
    VIT("ViT-bigG-14", 1280, 224, 14, 1664, 48, 16, 8192, 1280, 32, GELU),
    RESNET("RN50", 1024, 224, 64, 512, 3, 4, 6, 3),
    RESNET("RN101", 512, 224, 64, 512, 3, 4, 23, 3),
    RESNET("RN50x4", 640, 288, 80, 640, 4, 6, 10, 6),
    RESNET("RN50x16", 768, 384, 96, 768, 6, 8, 18, 8),
    RESNET("RN50x64", 1024, 448, 128, 1024, 3, 15, 36, 10),
    /* small: what models/emoji-clip is */
    {"emoji-clip", 128, 64, 8, {0}, 192, 6, 3, 768, 192, 4, 32, 2240, QUICK},
};

const char *vkclip_arch_name(size_t index)
{
    return index < ARRAY_COUNT(archs) ? archs[index].name : NULL;
}

static void fill(const struct arch *arch, struct config *config)
{
    const struct config_tower tower = {
        .projection = true, .activation = arch->activation, .epsilon = 1e-5f};
    struct config_tower *image = &config->image, *text = &config->text;
    *config = config_defaults;
    /* Hugging Face has no ModifiedResNet */
    config->family = arch->stages[0] ? VKCLIP_FAMILY_OPENCLIP : VKCLIP_FAMILY_HF;
    *image = *text = tower;
    image->kind = arch->stages[0] ? KIND_RESNET : KIND_VIT;
    text->kind = KIND_TEXT;
    image->width = arch->width;
    image->layers = arch->layers;
    image->heads = arch->heads;
    image->mlp = arch->mlp;
    memcpy(config->stages, arch->stages, sizeof(config->stages));
    if (image->kind == KIND_RESNET) {
        for (size_t i = 0; i < ARRAY_COUNT(config->stages); i++)
            image->layers += config->stages[i];
        image->mlp = config_resnet_channels(config);
        image->heads = image->mlp / 64;
    }
    text->width = arch->text_width;
    text->layers = arch->text_layers;
    text->heads = arch->text_width / 64;
    text->mlp = 4 * arch->text_width;
    config->image_size = arch->image_size;
    config->patch_size = arch->patch;
    config->context = arch->context;
    config->vocabulary = arch->vocabulary;
    config->image_embed_dim = config->text_embed_dim = arch->embed_dim;
    config->logit_scale = 1 / 0.07f; /* paper, section 2.5 */
    if (config->family == VKCLIP_FAMILY_HF) {
        config->rgb_first = true;
        config->pad_token_id = (int32_t)arch->vocabulary - 1; /* end of text */
    }
}

int arch_find(const char *name, struct config *config)
{
    char known[256] = "";
    for (size_t i = 0; i < ARRAY_COUNT(archs); i++) {
        if (!strcmp(archs[i].name, name)) {
            fill(&archs[i], config);
            return VKCLIP_OK;
        }
        snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "",
                 archs[i].name);
    }
    return error_fail(VKCLIP_EINVALID,
                      "%s: no known architecture, expected one of %s, or a "
                      "configuration file (.json)",
                      name, known);
}

int arch_read(const char *arch, struct config *config)
{
    return string_ends_with(arch, ".json") ? checkpoint_read_config(arch, config)
                                           : arch_find(arch, config);
}

/* ---- The weights ----------------------------------------------------------------------------- */

/* Values of a tensor: mean + deviation times a number of normal distribution. */
struct scale {
    double mean, deviation;
};

static struct scale vector_scale(const struct config *config, const char *name)
{
    if (!strcmp(name, "logit_scale"))
        return (struct scale){.mean = 2.6592600369327779}; /* ln(1 / 0.07) */
    if (!strcmp(name, "visual.class_embedding"))
        return (struct scale){.deviation = 1 / sqrt(config->image.width)};
    if (string_ends_with(name, "bias") || string_ends_with(name, ".running_mean") ||
        string_ends_with(name, ".bn3.weight")) /* a bottleneck begins as the identity */
        return (struct scale){0};
    return (struct scale){.mean = 1}; /* of a norm */
}

static struct scale tensor_scale(const struct config *config,
                                 const struct checkpoint_tensor *tensor)
{
    const char *name = tensor->name;
    const bool image = !strncmp(name, "visual.", 7);
    const struct config_tower *tower = image ? &config->image : &config->text;
    double fan_in = 1;
    if (tensor->rank < 2)
        return vector_scale(config, name);
    for (unsigned i = 1; i < tensor->rank; i++)
        fan_in *= (double)tensor->shape[i];
    if (!strcmp(name, "token_embedding.weight"))
        return (struct scale){.deviation = 0.02};
    if (!strcmp(name, "positional_embedding"))
        return (struct scale){.deviation = 0.01};
    if (!strcmp(name, "visual.proj") || !strcmp(name, "text_projection"))
        return (struct scale){.deviation = 1 / sqrt(tower->width)};
    if (string_ends_with(name, "attn.out_proj.weight") ||
        string_ends_with(name, "mlp.c_proj.weight"))
        return (struct scale){.deviation = 1 / sqrt(2.0 * tower->width * tower->layers)};
    if (string_ends_with(name, "mlp.c_fc.weight"))
        return (struct scale){.deviation = 1 / sqrt(2.0 * tower->width)};
    if (tensor->rank == 4) /* torch.nn.Conv2d */
        return (struct scale){.deviation = 1 / sqrt(3 * fan_in)};
    return (struct scale){.deviation = 1 / sqrt(fan_in)};
}

/* Near enough to the normal distribution, deviation 1: the sum of twelve uniform numbers of 16
 * bits. No logarithm or cosine, which differ from one C library to the next. */
static double random_normal(uint64_t key, uint64_t index)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < 3; i++) {
        uint64_t word = rng_word(key, 3 * index + i);
        sum += (word & 0xffff) + (word >> 16 & 0xffff) + (word >> 32 & 0xffff) + (word >> 48);
    }
    return ((double)sum - 6.0 * 0xffff) / 0x10000;
}

struct initial {
    const struct config *config;
    uint64_t seed;
    struct checkpoint_tensor *tensors;
    size_t count;
};

static int give_random(void *user, size_t index, float *values)
{
    const struct initial *initial = user;
    const struct checkpoint_tensor *tensor = &initial->tensors[index];
    const struct scale scale = tensor_scale(initial->config, tensor);
    const uint64_t key = rng_word(hash_bytes(0, tensor->name, strlen(tensor->name)), initial->seed);
    const uint64_t count = checkpoint_elements(tensor);
    for (uint64_t i = 0; i < count; i++)
        values[i] = (float)(scale.mean +
                            (scale.deviation > 0 ? scale.deviation * random_normal(key, i) : 0));
    return VKCLIP_OK;
}

int vkclip_init_model(const char *arch, uint64_t seed, const char *path)
{
    struct config config;
    if (!arch || !path)
        return error_fail(VKCLIP_EINVALID, "vkclip_init_model: arch and path expected");
    struct initial initial = {.config = &config, .seed = seed};
    int error = arch_read(arch, &config);
    error = error ? error : folder_make_new(path);
    error = error ? error : checkpoint_list(&config, &initial.tensors, &initial.count);
    const struct checkpoint_source source = {.config = &config,
                                             .tensors = initial.tensors,
                                             .count = initial.count,
                                             .read = give_random,
                                             .user = &initial};
    error = error ? error : checkpoint_write(&source, path);
    free(initial.tensors);
    return error;
}
