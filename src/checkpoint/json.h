/* SPDX-License-Identifier: MIT
 *
 * The configuration files beside weights: Hugging Face's config.json with preprocessor_config.json,
 * and OpenCLIP's open_clip_config.json. Only config.c calls this; it checks the sizes afterwards.
 */
#ifndef VKCLIP_CHECKPOINT_JSON_H
#define VKCLIP_CHECKPOINT_JSON_H

#include "checkpoint/open.h"

/* Whether `folder` has the file `name`; its path goes to `path`. */
#define CONFIG_PATH_SIZE 4096
bool config_find(const char *folder, const char *name, char path[CONFIG_PATH_SIZE]);

/* Each fills `config` with what the file says and the reference's defaults for what it does not
 * say; `path` is config.json or open_clip_config.json. */
int config_read_hf(const char *path, struct config *config);
int config_read_openclip(const char *path, struct config *config);

/* Whether a config.json is that of a CLIP model of Hugging Face's, by its model_type. */
bool config_is_hf(const char *path);

/* The same from the metadata of clip.cpp's GGUF file: config_gguf.c. */
int config_read_gguf(const struct weights *weights, struct config *config);

/* The picture preparation that a Hugging Face `folder` asks for; call it once image_size is known.
 */
int config_read_preprocessor(const char *folder, struct config *config);

#endif
