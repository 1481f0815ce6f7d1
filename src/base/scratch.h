/* SPDX-License-Identifier: MIT
 *
 * Memory that is kept from one use to the next, so that a thread that does the same work many times
 * allocates once.
 */
#ifndef VKCLIP_BASE_SCRATCH_H
#define VKCLIP_BASE_SCRATCH_H

#include "base/memory.h"
#include <stddef.h>

/* All zeros is no memory. */
struct scratch {
    void *memory;
    size_t bytes;
};

/* Returns at least `bytes` bytes, whose values are undefined, or NULL when out of memory. What was
 * returned before is no longer valid. */
void *scratch_reserve(struct scratch *scratch, size_t bytes);
/* Gives the memory away, to be freed by memory_free(), or NULL if there are fewer bytes. */
void *scratch_take(struct scratch *scratch, size_t bytes);
/* Frees a block that is too large to be kept without a use in sight. */
void scratch_trim(struct scratch *scratch);
void scratch_free(struct scratch *scratch);

#endif
