/* SPDX-License-Identifier: MIT
 *
 * Reads Hugging Face's config.json and preprocessor_config.json. A missing value gets the default
 * of transformers' classes. Refuses by name a setting that asks for a computation which this
 * library does not have; sizes are checked when the configuration is complete.
 */
#ifndef VKCLIP_CHECKPOINT_HUGGING_FACE_H
#define VKCLIP_CHECKPOINT_HUGGING_FACE_H

#include "model/config.h"

/* Tells by its model_type whether a config.json describes a CLIP model, which T5 is not. */
bool hugging_face_is_config(const char *path);

/* Reads the towers from a config.json, but not how pictures are prepared. */
int hugging_face_read(const char *path, struct config *config);

/* Reads how pictures are prepared, from a preprocessor_config.json or a processor_config.json. The
 * size of pictures must already be known, because the file's value must agree with it. */
int hugging_face_read_preprocessor(const char *path, struct config *config);

#endif
