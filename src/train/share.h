/* SPDX-License-Identifier: MIT
 *
 * Decides which of several devices train together. Each device is measured: the forward pass of
 * both towers, and how fast gradients can be copied from it. From that follows the time of a step
 * on every number of devices, the fastest first. Devices that would not shorten a step are left
 * out, with one line that says why.
 */
#ifndef VKCLIP_TRAIN_SHARE_H
#define VKCLIP_TRAIN_SHARE_H

#include "train/step.h"

struct share {
    struct train_device devices[TRAIN_DEVICES]; /* in the order given; the first one leads */
    size_t count;
    uint32_t micro_batch; /* as in struct train_params */
};

/* Chooses among `count` devices, without measuring if there is only one. */
int share_choose(const struct train_device *devices, size_t count, const struct config *config,
                 const struct weights *weights, const struct train_params *params,
                 struct share *share);

/* What was measured of one device. */
struct share_speed {
    double pair;  /* seconds of a forward pass of both towers, per pair */
    double bytes; /* bytes per second from the device to the host */
};
/* Returns on how many devices, the fastest of which come first, a step takes the least time, where
 * `bytes` of gradients are added up. More devices must save a tenth of the time, because they cost
 * memory and the measurements are not exact. */
size_t share_count(const struct share_speed *speeds, size_t count,
                   const struct train_params *params, double bytes);
/* Returns the largest micro-batch with which every one of `count` devices gets one. */
uint32_t share_micro_batch(const struct train_params *params, size_t count);

#endif
