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

/* Every tensor that the towers need, by its canonical name; stops at the first error of `each`. */
typedef int config_tensor_fn(void *user, const char *name, unsigned rank, const uint64_t *shape);
int config_each_tensor(const struct config *config, config_tensor_fn *each, void *user);
/* All of them are in `weights` in that shape, and no other of a tower. */
int config_check_tensors(struct weights *weights, const struct config *config);

/* The sizes of a ModifiedResNet from the shapes of its tensors, and its tensors. */
void config_resnet_read(const struct weights *weights, struct config *config);
int config_resnet_each(const struct config *config, config_tensor_fn *each, void *user);

#endif
