/* SPDX-License-Identifier: MIT
 *
 * From the path a user gives to everything that is known about the checkpoint before its weights
 * are used: which files, which family, all sizes. Reads config.json, open_clip_config.json and
 * preprocessor_config.json; for a bare state dict OpenAI's rule (clip/model.py, build_model).
 * Refuses what the towers here do not compute rather than computing something else.
 */
#ifndef VKCLIP_CHECKPOINT_OPEN_H
#define VKCLIP_CHECKPOINT_OPEN_H

#include "checkpoint/weights.h"

struct config_tower {
    bool present;
    bool projection; /* to embed_dim, without bias */
    uint32_t width, layers, heads, mlp;
    enum vkclip_activation activation;
    float epsilon; /* of LayerNorm */
};

struct config {
    enum vkclip_family family;
    struct config_tower image, text;
    uint32_t image_size, patch_size; /* a ModifiedResNet makes one pixel of 32 */
    uint32_t stages[4]; /* ModifiedResNet: bottlenecks of each stage; all 0: the tower is a ViT */
    uint32_t context, vocabulary;
    uint32_t image_embed_dim, text_embed_dim; /* D; the width where there is no projection */
    int32_t eos_token_id; /* end of text is the first of these; -1: argmax of the ids */
    int32_t
        pad_token_id;  /* as the configuration says; the tokenizer's own, where found, goes first */
    float logit_scale; /* exp of the stored value; 1 where absent */
    float image_mean[3], image_std[3];
    bool rgb_first;       /* Hugging Face's image processor: convert to RGB, then resize */
    char *tokenizer_path; /* NULL: none beside the checkpoint */
};

extern const struct config config_defaults; /* what OpenAI's preprocessing says; no tower */

/* Finds the files at `path`, opens the weights, fills `config` and checks that every tensor that
 * the towers need is there with the expected shape. On error nothing is left open. */
int config_open(const char *path, const struct vkclip_model_params *params, struct config *config,
                struct weights **weights);
void config_close(struct config *config);
/* The same of a model without weights, from a config.json (with preprocessor_config.json beside it,
 * if it is there) or an open_clip_config.json. */
int config_read(const char *path, struct config *config);

/* Every tensor that the towers need, by its canonical name; stops at the first error of `each`. */
typedef int config_tensor_fn(void *user, const char *name, unsigned rank, const uint64_t *shape);
int config_each_tensor(const struct config *config, config_tensor_fn *each, void *user);
/* All of them are in `weights` in that shape, and no other of a tower. */
int config_check_tensors(struct weights *weights, const struct config *config);

/* ModifiedResNet (config_resnet.c): channels of its last stage; sizes by the shapes of its tensors;
 * its tensors. `image.width` is that of the stem. */
uint32_t config_resnet_channels(const struct config *config);
void config_resnet_read(const struct weights *weights, struct config *config);
int config_resnet_each(const struct config *config, config_tensor_fn *each, void *user);

#endif
