/* SPDX-License-Identifier: MIT
 *
 * How a model takes its inputs, which training and encoding must do alike: the preparation of
 * pictures and the vocabulary of texts. Refuses a vocabulary that is larger than the token table.
 */
#ifndef VKCLIP_CHECKPOINT_INPUTS_H
#define VKCLIP_CHECKPOINT_INPUTS_H

#include "base/file_source.h"
#include "image/prepare.h"
#include "model/config.h"
#include "text/tokenizer.h"

/* Returns how the pictures of a model are prepared. */
struct image_transform checkpoint_image_transform(const struct config *config);
/* Opens a vocabulary by the rules of the model's family. Refuses one with more entries than the
 * model's token table. */
int checkpoint_open_vocabulary(const struct config *config, const char *path,
                               struct tokenizer **tokenizer);
int checkpoint_open_vocabulary_source(const struct config *config, const struct file_source *source,
                                      struct tokenizer **tokenizer);

#endif
