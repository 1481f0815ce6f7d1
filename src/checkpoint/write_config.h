/* SPDX-License-Identifier: MIT
 *
 * What is known of a checkpoint, as the files and values that config.c reads back to the same.
 */
#ifndef VKCLIP_CHECKPOINT_WRITE_CONFIG_H
#define VKCLIP_CHECKPOINT_WRITE_CONFIG_H

#include "checkpoint/open.h"
#include "format/gguf_write.h"

/* Texts of configuration files, new strings. Hugging Face's: config.json, and
 * preprocessor_config.json (*processor NULL where there is no image tower); or OpenCLIP's
 * open_clip_config.json. EUNSUPPORTED: the file cannot say it. */
int config_write_hf(const struct config *config, char **model, char **processor);
int config_write_openclip(const struct config *config, char **model);

/* The same as the values of clip.cpp's files, but for the vocabulary and the logit scale; `dtype`
 * is that of the matrices. */
int config_write_gguf(const struct config *config, enum dtype dtype, struct gguf_head *head);

#endif
