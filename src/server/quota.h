/* SPDX-License-Identifier: MIT
 *
 * Bounds the memory that all requests together take for one purpose, without waiting.
 */
#ifndef VKCLIP_SERVER_QUOTA_H
#define VKCLIP_SERVER_QUOTA_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct quota {
    atomic_size_t used;
    size_t most;
};

/* False: nothing was taken, because more than `most` would be in use. */
static inline bool quota_take(struct quota *quota, size_t bytes)
{
    size_t used = atomic_load(&quota->used);
    do
        if (bytes > quota->most || used > quota->most - bytes)
            return false;
    while (!atomic_compare_exchange_weak(&quota->used, &used, used + bytes));
    return true;
}

static inline void quota_give(struct quota *quota, size_t bytes)
{
    atomic_fetch_sub(&quota->used, bytes);
}

#endif
