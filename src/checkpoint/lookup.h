/* SPDX-License-Identifier: MIT
 *
 * Looks up the tokens of texts on the host, in tables that are too large for the device.
 */
#ifndef VKCLIP_CHECKPOINT_LOOKUP_H
#define VKCLIP_CHECKPOINT_LOOKUP_H

#include "checkpoint/weights.h"
#include "model/config.h"

/* Adds up the rows that token number `token` of a text has in the tables of a text tower whose
 * tokens the host looks up. `vectors` has room for two rows of the tower's width; the first becomes
 * the sum. */
int lookup_vector(const struct weights *weights, const struct config *config, const int32_t *ids,
                  uint32_t token, float *vectors);

#endif
