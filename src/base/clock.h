/* SPDX-License-Identifier: MIT
 *
 * Measures time for durations, not for dates.
 */
#ifndef VKCLIP_BASE_CLOCK_H
#define VKCLIP_BASE_CLOCK_H

/* Returns the seconds since an arbitrary moment, by a clock that nobody sets back. */
double clock_seconds(void);

#endif
