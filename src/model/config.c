/* SPDX-License-Identifier: MIT
 *
 * What a configuration holds before anything is read.
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
