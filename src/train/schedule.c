/* SPDX-License-Identifier: MIT
 *
 * Learning rates by the number of the step alone, so that a resumed run needs nothing else.
 */
#include "train/schedule.h"

#include <math.h>

double schedule_rate(const struct schedule *schedule, uint64_t step)
{
    const double pi = 3.14159265358979323846;
    if (step < schedule->warmup)
        return schedule->rate * (double)(step + 1) / (double)schedule->warmup;
    if (schedule->constant)
        return schedule->rate;
    if (step >= schedule->steps)
        return 0;
    return schedule->rate * 0.5 *
           (1 + cos(pi * (double)(step - schedule->warmup) /
                    (double)(schedule->steps - schedule->warmup)));
}
