/* SPDX-License-Identifier: MIT
 *
 * The learning rate of a step, as OpenCLIP has it: it rises over the first `warmup` steps in equal
 * parts to `rate`, then stays there or falls by half a cosine, to 0 behind the last step.
 */
#ifndef VKCLIP_TRAIN_SCHEDULE_H
#define VKCLIP_TRAIN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct schedule {
    bool constant; /* else cosine */
    double rate;
    uint64_t warmup, steps;
};

/* `step` counts from 0. */
double schedule_rate(const struct schedule *schedule, uint64_t step);

#endif
