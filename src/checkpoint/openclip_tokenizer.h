/* SPDX-License-Identifier: MIT
 *
 * Says which tokenizer OpenCLIP uses for a model and how it cleans texts.
 */
#ifndef VKCLIP_CHECKPOINT_OPENCLIP_TOKENIZER_H
#define VKCLIP_CHECKPOINT_OPENCLIP_TOKENIZER_H

#include "checkpoint/json.h"
#include "model/config.h"

/* Reads the section text_cfg into a configuration whose context is known. */
void openclip_read_tokenizer(const struct section *text, struct config *config);
/* Returns OpenCLIP's name of a cleaning, or NULL if there is none. */
const char *openclip_cleaning_name(enum text_cleaning cleaning);

#endif
