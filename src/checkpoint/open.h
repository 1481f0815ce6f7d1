/* SPDX-License-Identifier: MIT
 *
 * From the path that a user gives to everything that is known about a model before its weights are
 * used: which files, which family, all sizes. A state dict without a configuration file is read by
 * OpenAI's rule (clip/model.py, build_model). Refused is every model that the towers here would
 * compute differently from its reference.
 */
#ifndef VKCLIP_CHECKPOINT_OPEN_H
#define VKCLIP_CHECKPOINT_OPEN_H

#include "checkpoint/weights.h"
#include "model/config.h"

/* Finds the files at `path`, opens the weights, fills `config` and checks that every tensor that
 * the towers need is there with the expected shape. `params` may be NULL. On error nothing is left
 * open. */
int checkpoint_open(const char *path, const struct vkclip_model_params *params,
                    struct config *config, struct weights **weights);

/* Fills `config` for a model without weights, from a config.json (with preprocessor_config.json
 * beside it, if it is there) or an open_clip_config.json. */
int checkpoint_read_config(const char *path, struct config *config);

#endif
