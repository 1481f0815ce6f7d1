/* SPDX-License-Identifier: MIT
 *
 * Time as a program measures it, for durations and not for dates.
 */
#ifndef VKCLIP_BASE_CLOCK_H
#define VKCLIP_BASE_CLOCK_H

/* Seconds since an arbitrary moment, by a clock that nobody sets back. */
double clock_seconds(void);

#endif
