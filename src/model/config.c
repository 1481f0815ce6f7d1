/* SPDX-License-Identifier: MIT
 *
 * What a configuration holds before anything is read, and what follows from its other values.
 */
#include "model/config.h"

#include <stdlib.h>

const struct config config_defaults = {
    .image_mean = {0.48145466f, 0.4578275f, 0.40821073f}, /* clip/clip.py, _transform */
    .image_std = {0.26862954f, 0.26130258f, 0.27577711f},
    .eos_token_id = -1,
};

void config_close(struct config *config)
{
    free(config->tokenizer_path);
    *config = (struct config){0};
}

const struct config_tower *config_tower(const struct config *config, enum tower tower)
{
    return tower == TOWER_IMAGE ? &config->image : &config->text;
}

uint32_t config_embed_dim(const struct config *config, enum tower tower)
{
    return tower == TOWER_IMAGE ? config->image_embed_dim : config->text_embed_dim;
}

void config_derive_resnet(struct config *config, uint32_t head_width)
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
    config->patch_size = 32; /* The stem halves twice, and each stage but the first once more. */
}
