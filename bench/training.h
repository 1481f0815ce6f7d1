/* SPDX-License-Identifier: MIT
 *
 * Times steps of training beside their forward pass.
 */
#ifndef VKCLIP_TRAINING_H
#define VKCLIP_TRAINING_H

#include "vulkan/gpu.h"

struct tuner;

/* Prints the median step and forward pass of a model's both towers, in turn, and the device's time
 * by op. `mixed`: see train.h. */
int bench_train(struct gpu *gpu, struct tuner *tuner, const char *model, uint32_t batch, bool mixed,
                bool csv);

#endif
