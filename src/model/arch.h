/* SPDX-License-Identifier: MIT
 *
 * The named architectures: configurations of models that are not on disk yet.
 */
#ifndef VKCLIP_MODEL_ARCH_H
#define VKCLIP_MODEL_ARCH_H

#include "model/config.h"

/* The name of architecture number `index`; NULL behind the last. */
const char *arch_name(size_t index);
/* Fills `config` with a named architecture. EINVALID names those that are known. */
int arch_find(const char *name, struct config *config);

#endif
