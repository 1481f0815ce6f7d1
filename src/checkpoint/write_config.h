/* SPDX-License-Identifier: MIT
 *
 * Builds configuration files from which a reader gets the same configuration back. Refuses what a
 * format cannot express (EUNSUPPORTED) rather than leave it out.
 */
#ifndef VKCLIP_CHECKPOINT_WRITE_CONFIG_H
#define VKCLIP_CHECKPOINT_WRITE_CONFIG_H

#include "checkpoint/names.h"
#include "format/gguf_write.h"
#include "model/config.h"

/* Returns the form of the names that safetensors files of a model have. */
enum names_form write_config_form(const struct config *config);

/* Builds the texts of config.json and preprocessor_config.json as new strings. *processor is NULL
 * if the model has no image tower. */
int write_config_hugging_face(const struct config *config, char **model, char **processor);

/* Builds the text of open_clip_config.json as a new string. */
int write_config_openclip(const struct config *config, char **model);

/* Adds the values of clip.cpp's files, without the vocabulary and the logit scale. `dtype` is the
 * type of the matrices. */
int write_config_clip_cpp(const struct config *config, enum dtype dtype, struct gguf_head *head);

#endif
