/* SPDX-License-Identifier: MIT
 *
 * The small files beside weights that are written: the configuration, and the files of the
 * tokenizer. Each appears only when it is whole. A file of other content is never replaced.
 */
#ifndef VKCLIP_CHECKPOINT_BESIDE_H
#define VKCLIP_CHECKPOINT_BESIDE_H

#include "checkpoint/names.h"
#include "model/config.h"

/* Begin with zeros and `folder`, a string that beside_close frees. */
struct beside {
    char *folder;
    bool made_folder; /* The folder is new, and removed again after an error. */
    char *made[8];    /* paths of the files that were not there before */
    size_t count;
};

/* Writes configuration and tokenizer for weights with OpenAI's or Hugging Face's names. */
int beside_write(struct beside *beside, const struct config *config, enum names_form form);
/* Removes what was made if `error` is an error, and frees the paths. */
void beside_close(struct beside *beside, int error);

#endif
