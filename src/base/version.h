/* SPDX-License-Identifier: MIT
 *
 * Makes the library's version as text from the numbers of the public header.
 */
#ifndef VKCLIP_BASE_VERSION_H
#define VKCLIP_BASE_VERSION_H

#include "vkclip.h"

#define VERSION_TEXT(number) #number
#define VERSION_JOIN(major, minor, patch) \
    VERSION_TEXT(major) "." VERSION_TEXT(minor) "." VERSION_TEXT(patch)
/* The version reads "major.minor.patch". */
#define VERSION VERSION_JOIN(VKCLIP_VERSION_MAJOR, VKCLIP_VERSION_MINOR, VKCLIP_VERSION_PATCH)

#endif
