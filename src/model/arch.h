/* SPDX-License-Identifier: MIT
 *
 * The named architectures, and checkpoints of them with random weights: where training begins and
 * what is timed where no weights are at hand. Knows no Vulkan.
 */
#ifndef VKCLIP_MODEL_ARCH_H
#define VKCLIP_MODEL_ARCH_H

#include "model/config.h"

/* Fills `config` with a named architecture. */
int arch_find(const char *name, struct config *config);
/* The same, or what a configuration file says where the name ends in .json. */
int arch_read(const char *arch, struct config *config);

#endif
