/* SPDX-License-Identifier: MIT
 *
 * The table of named architectures: the sizes that OpenAI and LAION published, under the names that
 * OpenCLIP gives to them, and a small one for tests and first steps.
 */
#include "model/arch.h"
#include "base/array.h"
#include "base/error.h"
#include "model/convnext.h"
#include "model/resnet.h"

#include <stdio.h>
#include <string.h>

/* What sets a family apart whose image tower is a ViT. */
enum variant {
    PLAIN,
    XLM_R,     /* The text tower is an XLM-R, with the mean of its tokens. */
    WORLDWIDE, /* MetaCLIP 2: texts have the tokens of XLM-V, and end at their first </s>. */
    CLIPA      /* The mean of the patches, and BERT's tokens, which attend to all others. */
};

struct arch {
    const char *name;
    uint32_t embed_dim;
    uint32_t image_size, patch, stages[CONFIG_STAGES];
    /* The image tower's; a ModifiedResNet and a ConvNeXt have only a width, that of the first
     * stage. */
    uint32_t width, layers, heads, mlp;
    uint32_t text_width, text_layers, context, vocabulary;
    enum vkclip_activation activation;
    bool convnext;
    uint32_t inner; /* see struct config_tower */
    enum variant variant;
    uint32_t rope_grid;  /* of an EVA02 or PE-Core; 0: the image tower is another */
    bool attention_pool; /* It is a PE-Core, or without `rope_grid` a SigLIP. */
};

#define QUICK VKCLIP_ACTIVATION_QUICK_GELU
#define GELU VKCLIP_ACTIVATION_GELU
#define VARIANT(name, dim, size, patch, width, layers, heads, mlp, text, text_layers, context,     \
                words, activation, variant)                                                        \
    {                                                                                              \
        name, dim, size, patch, {0}, width, layers, heads, mlp, text, text_layers, context, words, \
            activation, false, 0, variant, 0, false                                                \
    }
#define VIT(name, dim, size, patch, width, layers, heads, mlp, text, text_layers, activation) \
    VARIANT(name, dim, size, patch, width, layers, heads, mlp, text, text_layers, 77, 49408,  \
            activation, PLAIN)
#define RESNET(name, dim, size, width, text, ...)                                                 \
    {                                                                                             \
        name, dim, size, 32, {__VA_ARGS__}, width, 0, 0, 0, text, 12, 77, 49408, QUICK, false, 0, \
            PLAIN, 0, false                                                                       \
    }
#define CONVNEXT(name, dim, size, width, inner, text, text_layers, ...)                         \
    {                                                                                           \
        name, dim, size, 32, {__VA_ARGS__}, width, 0, 0, 0, text, text_layers, 77, 49408, GELU, \
            true, inner, PLAIN, 0, false                                                        \
    }
#define EVA(name, dim, size, patch, width, layers, heads, mlp, text, text_layers, context, grid,   \
            pool)                                                                                  \
    {                                                                                              \
        name, dim, size, patch, {0}, width, layers, heads, mlp, text, text_layers, context, 49408, \
            GELU, false, 0, PLAIN, grid, pool                                                      \
    }
/* The text tower has the sizes of the image tower. */
#define SIGLIP(name, width, size, patch, layers, heads, mlp, vocabulary)                         \
    {                                                                                            \
        name, width, size, patch, {0}, width, layers, heads, mlp, width, layers, 64, vocabulary, \
            VKCLIP_ACTIVATION_GELU_TANH, false, 0, PLAIN, 0, true                                \
    }
static const struct arch archs[] = {
    /* These sizes are OpenAI's. */
    VIT("ViT-B-32", 512, 224, 32, 768, 12, 12, 3072, 512, 12, QUICK),
    VIT("ViT-B-16", 512, 224, 16, 768, 12, 12, 3072, 512, 12, QUICK),
    VIT("ViT-L-14", 768, 224, 14, 1024, 24, 16, 4096, 768, 12, QUICK),
    VIT("ViT-L-14-336", 768, 336, 14, 1024, 24, 16, 4096, 768, 12, QUICK),
    /* These sizes are LAION's. */
    VIT("ViT-H-14", 1024, 224, 14, 1280, 32, 16, 5120, 1024, 24, GELU),
    VIT("ViT-g-14", 1024, 224, 14, 1408, 40, 16, 6144, 1024, 24, GELU),
    VIT("ViT-bigG-14", 1280, 224, 14, 1664, 48, 16, 8192, 1280, 32, GELU),
    VIT("ViT-B-32-256", 512, 256, 32, 768, 12, 12, 3072, 512, 12, GELU),
    VIT("ViT-B-16-plus-240", 640, 240, 16, 896, 12, 14, 3584, 640, 12, GELU),
    VARIANT("xlm-roberta-base-ViT-B-32", 512, 224, 32, 768, 12, 12, 3072, 768, 12, 77, 250002, GELU,
            XLM_R),
    /* MetaCLIP has the first two of these sizes, DFN the first and the third. */
    VIT("ViT-H-14-quickgelu", 1024, 224, 14, 1280, 32, 16, 5120, 1024, 24, QUICK),
    VIT("ViT-bigG-14-quickgelu", 1280, 224, 14, 1664, 48, 16, 8192, 1280, 32, QUICK),
    VIT("ViT-H-14-378-quickgelu", 1024, 378, 14, 1280, 32, 16, 5120, 1024, 24, QUICK),
    VARIANT("ViT-H-14-worldwide-quickgelu", 1024, 224, 14, 1280, 32, 16, 5120, 1024, 24, 77, 901629,
            QUICK, WORLDWIDE),
    VARIANT("ViT-bigG-14-worldwide", 1280, 224, 14, 1664, 48, 16, 8192, 1280, 32, 77, 901629, GELU,
            WORLDWIDE),
    VARIANT("ViT-L-14-CLIPA", 768, 224, 14, 1024, 24, 16, 4096, 768, 12, 32, 32000, GELU, CLIPA),
    VARIANT("ViT-H-14-CLIPA", 1024, 224, 14, 1280, 32, 16, 5120, 1024, 24, 32, 32000, GELU, CLIPA),
    VARIANT("ViT-bigG-14-CLIPA", 1280, 224, 14, 1664, 48, 16, 8192, 1280, 32, 32, 32000, GELU,
            CLIPA),
    /* These ModifiedResNets are OpenAI's. */
    RESNET("RN50", 1024, 224, 64, 512, 3, 4, 6, 3),
    RESNET("RN101", 512, 224, 64, 512, 3, 4, 23, 3),
    RESNET("RN50x4", 640, 288, 80, 640, 4, 6, 10, 6),
    RESNET("RN50x16", 768, 384, 96, 768, 6, 8, 18, 8),
    RESNET("RN50x64", 1024, 448, 128, 1024, 3, 15, 36, 10),
    /* These ConvNeXts are LAION's. */
    CONVNEXT("convnext_base", 512, 224, 128, 0, 512, 12, 3, 3, 27, 3),
    CONVNEXT("convnext_base_w", 640, 256, 128, 0, 640, 12, 3, 3, 27, 3),
    CONVNEXT("convnext_large_d", 768, 256, 192, 1536, 768, 16, 3, 3, 27, 3),
    CONVNEXT("convnext_xxlarge", 1024, 256, 384, 0, 1024, 24, 3, 4, 30, 3),
    /* These sizes are BAAI's and Meta's. */
    EVA("EVA02-B-16", 512, 224, 16, 768, 12, 12, 2048, 512, 12, 77, 16, false),
    EVA("PE-Core-B-16", 1024, 224, 16, 768, 12, 12, 3072, 1024, 24, 32, 14, true),
    /* These sizes are Google's, of SigLIP and of SigLIP 2 with its larger vocabulary. */
    SIGLIP("ViT-B-16-SigLIP", 768, 224, 16, 12, 12, 3072, 32000),
    SIGLIP("ViT-B-16-SigLIP2", 768, 224, 16, 12, 12, 3072, 256000),
    /* The last row is the architecture of models/emoji-clip. */
    {"emoji-clip",
     128,
     64,
     8,
     {0},
     192,
     6,
     3,
     768,
     192,
     4,
     32,
     2240,
     QUICK,
     false,
     0,
     PLAIN,
     0,
     false},
};

const char *arch_name(size_t index)
{
    return index < ARRAY_COUNT(archs) ? archs[index].name : NULL;
}

/* A ConvNeXt has twice as many channels in each stage as in the one before. */
static void fill_convnext(const struct arch *arch, struct config *config)
{
    for (size_t i = 0; i < CONFIG_STAGES; i++)
        config->stage_widths[i] = arch->width << i;
    config->image.inner = arch->inner;
    config->image.epsilon = convnext_epsilon(config->stage_widths[0]);
    convnext_derive_sizes(config);
}

/* PE-Core squashes pictures, and gives their values the range from -1 to 1. */
static void fill_eva(const struct arch *arch, struct config *config)
{
    struct config_tower *image = &config->image;
    image->projection_bias = true;
    image->rope_grid = arch->rope_grid;
    config->custom_text = true;
    if (!arch->attention_pool) {
        image->gated = image->inner_norm = true;
        image->activation = VKCLIP_ACTIVATION_SILU;
        image->epsilon = 1e-6f;
        return;
    }
    image->pooling = POOL_ATTENTION;
    config->resize.fit = FIT_SQUASH;
    config->resize.filter = FILTER_BILINEAR;
    for (int i = 0; i < 3; i++)
        config->image_mean[i] = config->image_std[i] = 0.5f;
}

static enum tower_kind image_kind(const struct arch *arch)
{
    if (arch->convnext)
        return KIND_CONVNEXT;
    if (arch->rope_grid)
        return KIND_EVA;
    return arch->stages[0] ? KIND_RESNET : KIND_VIT;
}

/* Makes the text tower an XLM-R, which OpenCLIP takes from transformers. */
static void set_xlm_r(struct config *config)
{
    struct config_tower *text = &config->text;
    text->kind = KIND_BERT;
    text->counted = true;
    text->positions = 514;
    text->token_types = 1;
    text->pooling = POOL_MEAN;
    text->inner = (text->width + config->text_embed_dim) / 2;
    config->pad_token_id = 1;
    config->custom_text = true;
}

/* CLIPA's pictures have ImageNet's mean and deviation. */
static void set_clipa(struct config *config)
{
    static const float mean[] = {0.485f, 0.456f, 0.406f}, std[] = {0.229f, 0.224f, 0.225f};
    struct config_tower *image = &config->image, *text = &config->text;
    image->no_pre_norm = image->norm_after_pool = true;
    image->pooling = POOL_MEAN;
    text->bidirectional = true;
    text->pooling = POOL_LAST;
    config->strip_end = true;
    config->resize.fit = FIT_SQUASH;
    config->resize.filter = FILTER_BILINEAR;
    memcpy(config->image_mean, mean, sizeof(mean));
    memcpy(config->image_std, std, sizeof(std));
}

/* OpenCLIP alone has the variants; it cleans texts for the tokenizers of transformers. */
static void set_variant(enum variant variant, struct config *config)
{
    static const char *const tokenizers[] = {
        [WORLDWIDE] = "facebook/xlm-v-base", [CLIPA] = "bert-base-uncased"};
    config->family = VKCLIP_FAMILY_OPENCLIP;
    config->rgb_first = false;
    config->pad_token_id = config_defaults.pad_token_id;
    if (variant == XLM_R) {
        set_xlm_r(config);
        return;
    }
    config->cleaning = TEXT_CLEAN_WHITESPACE;
    snprintf(config->tokenizer_name, sizeof(config->tokenizer_name), "%s", tokenizers[variant]);
    if (variant == WORLDWIDE)
        config->eos_token_id = 2;
    else
        set_clipa(config);
}

static void fill_config(const struct arch *arch, struct config *config)
{
    const struct config_tower tower = {
        .projection = true, .activation = arch->activation, .epsilon = 1e-5f};
    struct config_tower *image = &config->image, *text = &config->text;
    *config = config_defaults;
    *image = *text = tower;
    image->kind = image_kind(arch);
    text->kind = KIND_TEXT;
    /* Hugging Face's library has only ViTs. */
    config->family = image->kind == KIND_VIT ? VKCLIP_FAMILY_HF : VKCLIP_FAMILY_OPENCLIP;
    image->width = arch->width;
    image->layers = arch->layers;
    image->heads = arch->heads;
    image->mlp = arch->mlp;
    config->patch_size = arch->patch;
    memcpy(config->stages, arch->stages, sizeof(config->stages));
    if (image->kind == KIND_RESNET)
        resnet_derive_sizes(config, 64);
    if (image->kind == KIND_CONVNEXT)
        fill_convnext(arch, config);
    if (image->kind == KIND_EVA)
        fill_eva(arch, config);
    text->width = arch->text_width;
    text->layers = arch->text_layers;
    text->heads = arch->text_width / 64;
    text->mlp = 4 * arch->text_width;
    config->image_size = arch->image_size;
    config->context = arch->context;
    config->vocabulary = arch->vocabulary;
    config->image_embed_dim = config->text_embed_dim = arch->embed_dim;
    config->logit_scale = 1 / 0.07f; /* value from the paper, section 2.5 */
    if (config->family == VKCLIP_FAMILY_HF) {
        config->rgb_first = true;
        config->pad_token_id = (int32_t)arch->vocabulary - 1; /* the end of text */
    }
    if (arch->variant != PLAIN)
        set_variant(arch->variant, config);
}

static void fill_siglip(struct config *config)
{
    struct config_tower *image = &config->image, *text = &config->text;
    image->kind = KIND_SIGLIP;
    image->projection = false;
    image->epsilon = text->epsilon = 1e-6f;
    text->projection_bias = text->bidirectional = true;
    text->pooling = POOL_LAST;
    config->resize.fit = FIT_SQUASH;
    for (unsigned c = 0; c < 3; c++)
        config->image_mean[c] = config->image_std[c] = 0.5f;
    config->pad_token_id = 1;
    config->sigmoid = true;
    config->logit_scale = 10; /* values from SigLIP's paper, section 3.3 */
    config->logit_bias = -10;
}

int arch_find(const char *name, struct config *config)
{
    char known[1024] = "";
    for (size_t i = 0; i < ARRAY_COUNT(archs); i++) {
        if (!strcmp(archs[i].name, name)) {
            fill_config(&archs[i], config);
            if (archs[i].attention_pool && !archs[i].rope_grid)
                fill_siglip(config);
            return VKCLIP_OK;
        }
        snprintf(known + strlen(known), sizeof(known) - strlen(known), "%s%s", i ? ", " : "",
                 archs[i].name);
    }
    return error_fail(
        VKCLIP_EINVALID,
        "%s: no known architecture, expected one of %s, or a configuration file (.json)", name,
        known);
}
