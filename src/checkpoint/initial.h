/* SPDX-License-Identifier: MIT
 *
 * Creates new models with random weights, which training starts from and which suffice to measure
 * speed.
 */
#ifndef VKCLIP_CHECKPOINT_INITIAL_H
#define VKCLIP_CHECKPOINT_INITIAL_H

#include "model/config.h"

/* Reads a named architecture, or a configuration file if the name ends in .json. */
int initial_read_config(const char *arch, struct config *config);
/* Writes a model with random weights into the new or empty folder `path`. The same seed gives the
 * same bytes on every machine. */
int initial_write(const char *arch, uint64_t seed, const char *path);

#endif
