/* SPDX-License-Identifier: MIT
 *
 * The options of a training run, which are saved with its steps, so that a run says how it was made
 * and a resumed one names every option that differs. One table has them all, with their defaults.
 */
#ifndef VKCLIP_TRAIN_OPTIONS_H
#define VKCLIP_TRAIN_OPTIONS_H

#include "vkclip.h"

#include <jansson.h>

/* Replaces each 0 that asks for a default by that, and each negative number by 0. Defaults that
 * depend on the model or on the data stay 0. */
void options_complete(struct vkclip_trainer_params *params);

/* Returns the options as a new object, by their names in vkclip.h, or NULL when out of memory. */
json_t *options_pack(const struct vkclip_trainer_params *params);

/* Compares the options of a run with those that it resumes with. Warns of each one that differs,
 * unless results do not depend on it, and fails if one does with which the run cannot go on. Either
 * object may be NULL, where nothing is known. */
int options_compare(const json_t *before, const json_t *now);

#endif
