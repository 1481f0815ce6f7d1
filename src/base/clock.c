/* SPDX-License-Identifier: MIT
 *
 * Reads the monotonic clock. A system without a monotonic clock gives the time of day.
 */
#define _GNU_SOURCE
#include "base/clock.h"

#include <math.h>
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

void clock_wait(pthread_cond_t *changed, pthread_mutex_t *lock, double seconds)
{
    struct timespec end;
    const double whole = floor(seconds);
    timespec_get(&end, TIME_UTC);
    end.tv_sec += (time_t)whole;
    end.tv_nsec += (long)((seconds - whole) * 1e9);
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    pthread_cond_timedwait(changed, lock, &end);
}
