/* SPDX-License-Identifier: MIT
 *
 * The configuration of a model: which towers it has, their sizes, and how its inputs are prepared.
 * Whatever file describes a model is read into this struct. Nothing here checks the values: the
 * reader of the file does.
 */
#ifndef VKCLIP_MODEL_CONFIG_H
#define VKCLIP_MODEL_CONFIG_H

#include "vkclip.h"

/* The two towers of CLIP; either may be missing. */
enum tower { TOWER_IMAGE, TOWER_TEXT, TOWER_COUNT };

/* How a tower is built. KIND_NONE, which is 0, says that the model has no such tower. */
enum tower_kind { KIND_NONE, KIND_VIT, KIND_RESNET, KIND_TEXT, KIND_COUNT };

struct config_tower {
    enum tower_kind kind;
    bool projection; /* Whether a matrix without bias maps the pooled token to the embedding. */
    uint32_t width, layers, heads, mlp;
    enum vkclip_activation activation;
    float epsilon; /* of LayerNorm */
};

struct config {
    enum vkclip_family family;
    struct config_tower image, text;
    uint32_t image_size,
        patch_size;     /* A ModifiedResNet reduces 32 pixels a side to one position. */
    uint32_t stages[4]; /* KIND_RESNET: bottlenecks of each stage */
    uint32_t context, vocabulary;
    uint32_t image_embed_dim, text_embed_dim; /* The tower's width where it has no projection. */
    int32_t eos_token_id; /* A text ends at its first such id; with -1 at its largest id. */
    int32_t pad_token_id; /* Used only where the tokenizer's own files name none. */
    float logit_scale;    /* exp of the stored value; 1 where the checkpoint has none */
    float image_mean[3], image_std[3];
    bool rgb_first;       /* Hugging Face's image processor converts to RGB before it resizes. */
    char *tokenizer_path; /* NULL: no vocabulary was found beside the checkpoint. */
};

/* Channels of a ModifiedResNet's last stage; `image.width` is that of its stem. */
uint32_t config_resnet_channels(const struct config *config);

/* The preparation of pictures and texts that OpenAI's code has (clip/clip.py), and no tower. */
extern const struct config config_defaults;

/* Frees what the configuration owns. */
void config_close(struct config *config);

#endif
