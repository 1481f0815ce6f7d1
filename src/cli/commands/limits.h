/* SPDX-License-Identifier: MIT
 *
 * Reads the values of vkclip search's filters: dates, places and sizes.
 */
#ifndef VKCLIP_CLI_COMMANDS_LIMITS_H
#define VKCLIP_CLI_COMMANDS_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* Reads 2024, 2024-07, 2024-07-31, or 2024-07-31T12:30 or 2024-07-31T12:30:59 (also with a space
 * for the T): seconds from 1970 to the beginning of that year, month, day, minute or second. There
 * is no time zone, as in what cameras write. False: the text is no date. */
bool limits_read_date(const char *text, int64_t *seconds);
/* Writes the day of a time as 2024-07-31. */
void limits_write_day(int64_t seconds, char text[32]);
/* Reads LAT,LON,KM. */
bool limits_read_place(const char *text, double place[3]);
/* Reads N (both sides) or WxH, in pixels. */
bool limits_read_size(const char *text, uint32_t *width, uint32_t *height);

#endif
