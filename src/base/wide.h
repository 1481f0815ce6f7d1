/* SPDX-License-Identifier: MIT
 *
 * Windows has its own form of names, times and errors, and this converts from it and to it. Paths
 * are UTF-8 everywhere else, and a path may be as long as the file system allows. Other systems
 * have none of these functions.
 */
#ifndef VKCLIP_BASE_WIDE_H
#define VKCLIP_BASE_WIDE_H

#include <stdbool.h>
#include <stdint.h>
#include <wchar.h>

#ifdef _WIN32
/* Converts text. Returns NULL, and sets errno, if it is not UTF-8, or out of memory. */
wchar_t *wide_from_utf8(const char *text);
char *wide_to_utf8(const wchar_t *wide);

/* Converts a path for a function of Windows. Paths that would be too long for it get the form
 * without that limit, which begins with \\?\. NULL with errno as above. */
wchar_t *wide_path(const char *path);

/* Sets errno to what comes nearest to GetLastError, so that strerror says what failed, and returns
 * false. */
bool wide_fail(void);

/* Returns nanoseconds since 1970 of a FILETIME's two halves. */
int64_t wide_date(uint32_t low, uint32_t high);
#endif

#endif
