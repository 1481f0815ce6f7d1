/* SPDX-License-Identifier: MIT
 *
 * What the programs of the tests of growth share. The build's flags say which vkclip.h is included.
 * Guards around the structs notice what the library writes beyond the sizes that it was told.
 */
#ifndef VKCLIP_TESTS_API_GROWTH_GUARDS_H
#define VKCLIP_TESTS_API_GROWTH_GUARDS_H

#include <stdio.h>
#include <string.h>
#include <vkclip.h>

enum { GUARD = 0xa5, GUARDS = 512 };

/* Declares a struct between guards. */
#define GUARDED(type, name)                     \
    struct {                                    \
        unsigned char before[GUARDS];           \
        struct type value;                      \
        unsigned char behind[GUARDS];           \
    } name;                                     \
    memset(&name, GUARD, sizeof(name));         \
    memset(&name.value, 0, sizeof(name.value)); \
    name.value.size = sizeof(name.value)

#define INTACT(name) \
    (name.value.size == sizeof(name.value) && is_guard(name.before) && is_guard(name.behind))

/* Makes a function fail with what was expected, and the line. */
#define EXPECT(condition)                                                                   \
    if (!(condition)) {                                                                     \
        snprintf(wrong, sizeof(wrong), "%s, line %d: %s; the last error is '%s'", __func__, \
                 __LINE__, #condition, vkclip_last_error());                                \
        return wrong;                                                                       \
    }

static char wrong[1024];

static int is_guard(const unsigned char *bytes)
{
    size_t i = 0;
    while (i < GUARDS && bytes[i] == GUARD)
        i++;
    return i == GUARDS;
}

#endif
