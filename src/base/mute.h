/* SPDX-License-Identifier: MIT
 *
 * Some libraries print what is wrong with a file on standard error, and have no way to turn that
 * off: libjxl as Debian builds it, and dav1d behind libheif. The library cannot help it, because
 * standard error belongs to the program; but a program that asks mute_is_on() can leave out what a
 * thread prints meanwhile, as the command vkclip does. It prints the one line of the error instead.
 */
#ifndef VKCLIP_BASE_MUTE_H
#define VKCLIP_BASE_MUTE_H

#include <stdbool.h>

/* Says whether the calling thread is in a library that prints. */
void mute_set(bool on);
bool mute_is_on(void);

#endif
