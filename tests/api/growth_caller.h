/* SPDX-License-Identifier: MIT
 *
 * A program that uses the library, compiled against an old, today's and a newer vkclip.h. Each
 * returns NULL, or what went wrong.
 */
#ifndef VKCLIP_TESTS_API_GROWTH_CALLER_H
#define VKCLIP_TESTS_API_GROWTH_CALLER_H

/* Uses a device and models/emoji-clip, and writes into a folder. */
const char *growth_call_old(const char *folder);
const char *growth_call_today(const char *folder);
const char *growth_call_newer(const char *folder);

#endif
