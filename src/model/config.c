/* SPDX-License-Identifier: MIT
 *
 * Defines the values that a configuration has before a file is read, and frees its memory.
 */
#include "model/config.h"
#include "base/memory.h"

const struct config config_defaults = {
    .image_mean = {0.48145466f, 0.4578275f, 0.40821073f}, /* clip/clip.py, _transform */
    .image_std = {0.26862954f, 0.26130258f, 0.27577711f},
    .eos_token_id = -1,
};

void config_close(struct config *config)
{
    memory_free(config->tokenizer_path);
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
