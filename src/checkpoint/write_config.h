/* SPDX-License-Identifier: MIT
 *
 * Configurations as files have them, so that reading them back gives the same configuration. What a
 * form has no words for is refused (EUNSUPPORTED) and not left out.
 */
#ifndef VKCLIP_CHECKPOINT_WRITE_CONFIG_H
#define VKCLIP_CHECKPOINT_WRITE_CONFIG_H

#include "format/gguf_write.h"
#include "model/config.h"

/* The texts of config.json and preprocessor_config.json, new strings; *processor is NULL if the
 * model has no image tower. */
int write_config_hugging_face(const struct config *config, char **model, char **processor);

/* The text of open_clip_config.json, a new string. */
int write_config_openclip(const struct config *config, char **model);

/* Puts the values of clip.cpp's files, without the vocabulary and the logit scale. `dtype` is the
 * type of the matrices. */
int write_config_clip_cpp(const struct config *config, enum dtype dtype, struct gguf_head *head);

#endif
