/* SPDX-License-Identifier: MIT
 *
 * Time as a program measures it.
 */
#ifndef VKCLIP_BASE_CLOCK_H
#define VKCLIP_BASE_CLOCK_H

/* Seconds of a clock that only goes forward. */
double clock_seconds(void);

#endif
