/* SPDX-License-Identifier: MIT
 *
 * What the files NAME_absent.c have in common. Each stands in a build for a part of the library
 * that is left out of it, so that every build has the same functions; they fail with EUNSUPPORTED
 * and say which option of the build has the part.
 */
#ifndef VKCLIP_BASE_ABSENT_H
#define VKCLIP_BASE_ABSENT_H

/* Such functions use none of their arguments. */
#ifdef _MSC_VER
#define ABSENT_ARGUMENTS __pragma(warning(disable : 4100))
#else
#define ABSENT_ARGUMENTS _Pragma("GCC diagnostic ignored \"-Wunused-parameter\"")
#endif

#endif
