/* SPDX-License-Identifier: MIT
 *
 * The arena does not know the plans that use it: each compares the generation for which it recorded
 * its commands with the arena's before it submits them.
 */
#include "runtime/arena.h"

#include "base/error.h"

int arena_reserve(struct arena *arena, uint64_t size)
{
    if (arena->buffer && size <= arena->size)
        return VKCLIP_OK;
    int error = arena->last ? gpu_commands_wait(arena->last) : VKCLIP_OK;
    if (error)
        return error;
    arena_release(arena);
    error = gpu_buffer_create(arena->gpu, arena->memory, size, &arena->buffer);
    arena->size = error ? 0 : size;
    return error;
}

void arena_release(struct arena *arena)
{
    arena->generation++;
    arena->size = 0;
    gpu_buffer_destroy(arena->gpu, &arena->buffer);
}
