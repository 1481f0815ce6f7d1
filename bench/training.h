/* SPDX-License-Identifier: MIT
 *
 * Times steps of training, and the forward pass alone.
 */
#ifndef VKCLIP_TRAINING_H
#define VKCLIP_TRAINING_H

#include "vulkan/gpu.h"

struct tuner;

/* Prints the median times of a step and of the forward pass of both towers, which are run in turn,
 * and the device's time per op. `mixed` is that of struct train_params. */
int bench_train(struct gpu *gpu, struct tuner *tuner, const char *model, uint32_t batch, bool mixed,
                bool csv);

#endif
