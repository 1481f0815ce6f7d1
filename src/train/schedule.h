/* SPDX-License-Identifier: MIT
 *
 * Gives the learning rate of a step, as OpenCLIP computes it: over the first `warmup` steps it
 * rises in equal increments to `rate`; then it falls along half a cosine to 0 after the last step,
 * or stays constant, or stays until it falls in the last steps, the cool-down.
 */
#ifndef VKCLIP_TRAIN_SCHEDULE_H
#define VKCLIP_TRAIN_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>

struct schedule {
    bool constant; /* The rate stays constant after the warm-up, up to the cool-down. */
    double rate;
    uint64_t warmup, steps;
    /* In the last `cooldown` steps a constant rate falls to `end`, by the fraction of these steps
     * that is left to the power of `power`: 1 is a straight line. 0 steps: there is no cool-down.
     */
    uint64_t cooldown;
    double power, end;
};

/* Returns the default warm-up: a tenth of all steps, at most 10,000. */
uint64_t schedule_default_warmup(uint64_t steps);

/* Returns the rate of step number `step`, counted from 0. It depends only on the number, so that a
 * resumed run needs no other state. */
double schedule_rate(const struct schedule *schedule, uint64_t step);

#endif
