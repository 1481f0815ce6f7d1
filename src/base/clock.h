/* SPDX-License-Identifier: MIT
 *
 * Measures time for durations and for dates.
 */
#ifndef VKCLIP_BASE_CLOCK_H
#define VKCLIP_BASE_CLOCK_H

#include <stdint.h>

/* The seconds for which a call waits at once, so that a person who cancels it notices no delay. */
#define CLOCK_MOMENT 0.05

/* Returns the seconds since an arbitrary moment, by a clock that nobody sets back. */
double clock_seconds(void);
/* Returns the nanoseconds since 1970 in UTC. */
int64_t clock_date(void);
/* Lets the calling thread sleep. */
void clock_sleep(double seconds);

#endif
