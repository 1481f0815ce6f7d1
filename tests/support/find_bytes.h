/* SPDX-License-Identifier: MIT
 *
 * Finds bytes within others.
 */
#ifndef VKCLIP_TESTS_SUPPORT_FIND_BYTES_H
#define VKCLIP_TESTS_SUPPORT_FIND_BYTES_H

#include <stddef.h>
#include <string.h>

/* Returns the first place of `part` in `data`, or NULL. */
static inline void *find_bytes(const void *data, size_t size, const void *part, size_t length)
{
    const char *bytes = data;
    for (size_t i = 0; i + length <= size; i++)
        if (!memcmp(bytes + i, part, length))
            return (char *)bytes + i;
    return NULL;
}

#endif
