/* SPDX-License-Identifier: MIT
 *
 * What a version of vkclip.h and vkclip_vulkan.h declares, as tests/api/declarations.py lists it.
 */
#ifndef VKCLIP_TESTS_API_DECLARATIONS_H
#define VKCLIP_TESTS_API_DECLARATIONS_H

#include <stddef.h>

enum declaration_kind {
    DECLARATION_END,
    DECLARATION_STRUCT,     /* `value` is its size. */
    DECLARATION_MEMBER,     /* `value` is its offset. */
    DECLARATION_ENUMERATOR, /* `value` is what it stands for. */
    DECLARATION_FUNCTION    /* a function, or the type of one */
};

struct declaration {
    enum declaration_kind kind;
    const char *name; /* of a member: STRUCT.MEMBER */
    const char *type; /* of members and functions */
    size_t value;
    size_t size; /* of a member */
};

/* Those of the headers in tests/api/old and in include, up to a DECLARATION_END. */
extern const struct declaration declarations_old[], declarations_today[];

#endif
