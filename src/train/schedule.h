/* SPDX-License-Identifier: MIT
 *
 * Gives the learning rate of a step, as OpenCLIP computes it: over the first `warmup` steps it
 * rises in equal increments to `rate`; then it stays constant, or falls along half a cosine to 0
 * after the last step.
 */
#ifndef VKCLIP_TRAIN_SCHEDULE_H
#define VKCLIP_TRAIN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct schedule {
    bool constant; /* The rate stays constant after the warm-up. */
    double rate;
    uint64_t warmup, steps;
};

/* Returns the default warm-up: a tenth of all steps, at most 10,000. */
uint64_t schedule_default_warmup(uint64_t steps);

/* Returns the rate of step number `step`, counted from 0. It depends only on the number, so that a
 * resumed run needs no other state. */
double schedule_rate(const struct schedule *schedule, uint64_t step);

#endif
