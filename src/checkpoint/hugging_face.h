/* SPDX-License-Identifier: MIT
 *
 * Hugging Face's config.json and preprocessor_config.json. What a file does not say gets the
 * default of transformers' classes. A setting that changes the computation to something that is not
 * computed here is refused by its name; sizes are checked when the configuration is complete.
 */
#ifndef VKCLIP_CHECKPOINT_HUGGING_FACE_H
#define VKCLIP_CHECKPOINT_HUGGING_FACE_H

#include "model/config.h"

/* Whether a config.json is that of a CLIP model, by its model_type. */
bool hugging_face_is_config(const char *path);

/* Reads a config.json: the towers, without the preparation of pictures. */
int hugging_face_read(const char *path, struct config *config);

/* Reads how pictures are prepared, from a preprocessor_config.json or a processor_config.json. The
 * size of pictures must be known already, because what the file says must agree with it. */
int hugging_face_read_preprocessor(const char *path, struct config *config);

#endif
