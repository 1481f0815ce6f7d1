/* SPDX-License-Identifier: MIT
 *
 * Measures time for durations, not for dates, and waits for a time.
 */
#ifndef VKCLIP_BASE_CLOCK_H
#define VKCLIP_BASE_CLOCK_H

#include <pthread.h>

/* The seconds for which a call waits at once, so that a person who cancels it notices no delay. */
#define CLOCK_MOMENT 0.05

/* Returns the seconds since an arbitrary moment, by a clock that nobody sets back. */
double clock_seconds(void);

/* Waits with the lock until `changed` is signalled, but not longer than some seconds. */
void clock_wait(pthread_cond_t *changed, pthread_mutex_t *lock, double seconds);

#endif
