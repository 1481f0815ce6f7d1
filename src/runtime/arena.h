/* SPDX-License-Identifier: MIT
 *
 * Device memory that several plans use for their activations, because they never run at once and
 * keep nothing from one replay to the next. It grows to what the largest plan needs.
 */
#ifndef VKCLIP_RUNTIME_ARENA_H
#define VKCLIP_RUNTIME_ARENA_H

#include "vulkan/gpu.h"

struct arena {
    struct gpu *gpu;
    enum gpu_memory memory; /* GPU_DEVICE or GPU_ANY */
    struct gpu_buffer *buffer;
    uint64_t size;
    unsigned generation;       /* changes with the buffer; commands of an earlier one are void */
    struct gpu_commands *last; /* the commands that were submitted last, if they still exist */
};

/* Makes room for `size` bytes. Where the arena grows, first waits for what was submitted last, and
 * gives the old memory back before it takes new memory, so that both need not fit at once. After an
 * error the arena has no memory, until it is reserved again. */
int arena_reserve(struct arena *arena, uint64_t size);
/* Gives the memory back. No command that uses it may be running. */
void arena_release(struct arena *arena);

#endif
