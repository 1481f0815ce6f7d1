/* SPDX-License-Identifier: MIT
 *
 * Writes the small files that accompany weights: the configuration and the tokenizer's files. Each
 * file appears only when it is complete. An existing file with other content is never replaced.
 */
#ifndef VKCLIP_CHECKPOINT_BESIDE_H
#define VKCLIP_CHECKPOINT_BESIDE_H

#include "checkpoint/names.h"
#include "model/config.h"

/* Initialize it with zeros and `folder`, a string that beside_close frees. */
struct beside {
    char *folder;
    bool made_folder; /* The folder is new and is removed again after an error. */
    char *made[8];    /* paths of files that did not exist before */
    size_t count;
};

/* Writes configuration and tokenizer for weights with OpenAI's or Hugging Face's names. */
int beside_write(struct beside *beside, const struct config *config, enum names_form form);
/* Frees the paths, and first removes the new files if `error` is an error. */
void beside_close(struct beside *beside, int error);

#endif
