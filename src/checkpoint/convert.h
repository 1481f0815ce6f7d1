/* SPDX-License-Identifier: MIT
 *
 * What the files of src/convert*.c share.
 */
#ifndef VKCLIP_CHECKPOINT_CONVERT_H
#define VKCLIP_CHECKPOINT_CONVERT_H

#include "checkpoint/open.h"

/* The small files beside converted weights, each written whole. Files of other content are never
 * replaced. */
struct convert_beside {
    char *folder;
    bool made_folder; /* by this conversion */
    char *made[8];    /* paths of those that were not there before */
    size_t count;
};

/* Configuration and vocabulary for weights in `form` (not GGUF) in beside->folder. */
int convert_write_beside(struct convert_beside *beside, const struct config *config,
                         enum weights_form form);
/* Takes them back where `error` is one. */
void convert_close_beside(struct convert_beside *beside, int error);

#endif
