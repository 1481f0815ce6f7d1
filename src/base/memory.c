/* SPDX-License-Identifier: MIT
 *
 * The number of pieces that are in use tells whether the allocator may be changed.
 */
#include "base/memory.h"
#include "base/error.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef __GLIBC__
#include <malloc.h>
#endif

static struct vkclip_allocator given; /* `allocate` is NULL: there is none */
static atomic_size_t pieces;

static _Thread_local size_t failures;

static void *count_failure(void *memory)
{
    failures += !memory;
    return memory;
}

static void *count_piece(void *memory)
{
    if (memory)
        atomic_fetch_add_explicit(&pieces, 1, memory_order_relaxed);
    return count_failure(memory);
}

void *memory_alloc(size_t size)
{
    return count_piece(given.allocate ? given.allocate(given.user, size) : malloc(size));
}

/* The system's pages are zeros already, which malloc's own function makes use of. */
void *memory_calloc(size_t count, size_t size)
{
    if (!given.allocate)
        return count_piece(calloc(count, size));
    if (size && count > SIZE_MAX / size)
        return count_failure(NULL);
    void *memory = memory_alloc(count * size);
    if (memory)
        memset(memory, 0, count * size);
    return memory;
}

void *memory_realloc(void *memory, size_t size)
{
    if (!memory)
        return memory_alloc(size);
    return count_failure(given.allocate ? given.reallocate(given.user, memory, size)
                                        : realloc(memory, size));
}

void memory_free(void *memory)
{
    if (!memory)
        return;
    atomic_fetch_sub_explicit(&pieces, 1, memory_order_relaxed);
    if (given.allocate)
        given.release(given.user, memory);
    else
        free(memory);
}

size_t memory_failures(void)
{
    return failures;
}

char *memory_adopt(char *text)
{
    char *copy = text ? memory_alloc(strlen(text) + 1) : NULL;
    if (copy)
        strcpy(copy, text);
    free(text);
    return copy;
}

void memory_share_arenas(void)
{
#ifdef __GLIBC__
    mallopt(M_ARENA_MAX, 2);
#endif
}

void *memory_zlib_alloc(void *opaque, unsigned count, unsigned size)
{
    (void)opaque;
    return memory_calloc(count, size);
}

void memory_zlib_free(void *opaque, void *memory)
{
    (void)opaque;
    memory_free(memory);
}

int memory_set_allocator(const struct vkclip_allocator *allocator)
{
    const size_t used = atomic_load_explicit(&pieces, memory_order_relaxed);
    if (used)
        return error_fail(VKCLIP_EINVALID,
                          "the allocator cannot change while the library has %zu pieces of memory "
                          "in use: set it before other functions are called, or after all handles "
                          "were closed and all results were freed",
                          used);
    given = allocator ? *allocator : (struct vkclip_allocator){0};
    return VKCLIP_OK;
}
