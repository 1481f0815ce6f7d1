/* SPDX-License-Identifier: MIT
 *
 * Reads the values of vkclip search's filters: dates, places and sizes.
 */
#ifndef VKCLIP_CLI_COMMANDS_LIMITS_H
#define VKCLIP_CLI_COMMANDS_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

/* Reads LAT,LON,KM. */
bool limits_read_place(const char *text, double place[3]);
/* Reads N (both sides) or WxH, in pixels. */
bool limits_read_size(const char *text, uint32_t *width, uint32_t *height);

#endif
