/* SPDX-License-Identifier: MIT
 *
 * Computes the learning rate by a formula of the step's number.
 */
#include "train/schedule.h"

#include <math.h>

uint64_t schedule_default_warmup(uint64_t steps)
{
    return steps / 10 < 10000 ? steps / 10 : 10000;
}

/* Returns the rate of a step in the cool-down, which ends with the last step. */
static double cool_down(const struct schedule *schedule, uint64_t step)
{
    const double left = step < schedule->steps ? (double)(schedule->steps - step) : 0;
    const double fraction = pow(left / (double)schedule->cooldown, schedule->power);
    return schedule->end + fraction * (schedule->rate - schedule->end);
}

double schedule_rate(const struct schedule *schedule, uint64_t step)
{
    const double pi = 3.14159265358979323846;
    if (step < schedule->warmup)
        return schedule->rate * (double)(step + 1) / (double)schedule->warmup;
    if (schedule->constant && schedule->cooldown && step + schedule->cooldown >= schedule->steps)
        return cool_down(schedule, step);
    if (schedule->constant)
        return schedule->rate;
    if (step >= schedule->steps)
        return 0;
    return schedule->rate * 0.5 *
           (1 + cos(pi * (double)(step - schedule->warmup) /
                    (double)(schedule->steps - schedule->warmup)));
}
