/* SPDX-License-Identifier: MIT
 *
 * Reads the monotonic clock. A system without a monotonic clock gives the time of day.
 */
#define _GNU_SOURCE
#include "base/clock.h"

#include <time.h>

double clock_seconds(void)
{
    struct timespec now;
#ifdef CLOCK_MONOTONIC
    clock_gettime(CLOCK_MONOTONIC, &now);
#else
    timespec_get(&now, TIME_UTC);
#endif
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}
