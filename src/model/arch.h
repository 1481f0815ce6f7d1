/* SPDX-License-Identifier: MIT
 *
 * The named architectures: configurations of models that are not on disk yet.
 */
#ifndef VKCLIP_MODEL_ARCH_H
#define VKCLIP_MODEL_ARCH_H

#include "model/config.h"

/* Returns the name of architecture number `index`, or NULL after the last. */
const char *arch_name(size_t index);
/* Fills `config` with a named architecture. The message of EINVALID lists the known names. */
int arch_find(const char *name, struct config *config);

#endif
