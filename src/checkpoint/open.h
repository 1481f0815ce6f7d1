/* SPDX-License-Identifier: MIT
 *
 * Turns the path that a user gives into everything that is known about a model before its weights
 * are used: its files, its family, all sizes. A state dict without a configuration file is read by
 * OpenAI's rule (clip/model.py, build_model). Refuses every model that the towers here would
 * compute differently from its reference.
 */
#ifndef VKCLIP_CHECKPOINT_OPEN_H
#define VKCLIP_CHECKPOINT_OPEN_H

#include "checkpoint/weights.h"
#include "model/config.h"

/* Finds the files at `path`, opens the weights, fills `config`, and checks that every tensor that
 * the towers need exists with the expected shape. `params` may be NULL. After an error nothing is
 * left open. */
int checkpoint_open(const char *path, const struct vkclip_model_params *params,
                    struct config *config, struct weights **weights);
/* Does the same with a source. No files are looked for beside one that is no path. */
int checkpoint_open_source(const struct file_source *source,
                           const struct vkclip_model_params *params, struct config *config,
                           struct weights **weights);

/* Fills `config` for a model without weights, from an open_clip_config.json, or from a config.json
 * and, if it exists, the preprocessor_config.json beside it. */
int checkpoint_read_config(const char *path, struct config *config);

#endif
