/* SPDX-License-Identifier: MIT
 *
 * Compares what a step of training needs with the memory that a device has, and finds the options
 * with which it would fit.
 */
#ifndef VKCLIP_TRAIN_FIT_H
#define VKCLIP_TRAIN_FIT_H

#include "train/step.h"

/* Writes which options would make a step of the same batch fit into so many bytes, as part of a
 * message, or that none would. */
int fit_advise(const struct config *config, const struct train_params *params, uint64_t bytes,
               char advice[256]);

/* Warns if a step needs more memory than the device has left. It is tried all the same, because
 * drivers do not tell all memory that they have: some take the host's when theirs is full. */
int fit_check(const struct gpu *gpu, const struct config *config,
              const struct train_params *params);

/* Adds to the message of a device whose memory did not suffice, of which `left` bytes seemed to be
 * left, what would fit. Returns EDEVICEMEMORY. */
int fit_explain(const struct config *config, const struct train_params *params, uint64_t left);

#endif
