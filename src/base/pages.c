/* SPDX-License-Identifier: MIT
 *
 * Only Linux has these calls. Where it refuses one, pages come as they did before.
 */
#define _DEFAULT_SOURCE
#include "base/pages.h"

#include <stdint.h>
#ifdef __linux__
#include <sys/mman.h>
#include <unistd.h>
#endif

#ifdef __linux__
static char *round_up(void *memory)
{
    const uintptr_t large = PAGES_LARGE;
    return (char *)(((uintptr_t)memory + large - 1) & ~(large - 1));
}
#endif

void pages_prefer_large(void *memory, size_t size)
{
#ifdef __linux__
    char *first = round_up(memory), *end = round_up((char *)memory + size + 1) - PAGES_LARGE;
    if (end > first)
        madvise(first, (size_t)(end - first), MADV_HUGEPAGE);
#else
    (void)memory;
    (void)size;
#endif
}

void *pages_allocate(size_t size)
{
#ifdef __linux__
    const size_t whole = size + PAGES_LARGE;
    char *memory = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    char *first = round_up(memory);
    if (first > memory)
        munmap(memory, (size_t)(first - memory));
    munmap(first + size, (size_t)(memory + whole - (first + size)));
    madvise(first, size, MADV_HUGEPAGE);
    return first;
#else
    (void)size;
    return NULL;
#endif
}

void pages_free(void *memory, size_t size)
{
#ifdef __linux__
    if (memory)
        munmap(memory, size);
#else
    (void)memory;
    (void)size;
#endif
}

void pages_provide(void *memory, size_t size)
{
#if defined(__linux__) && defined(MADV_POPULATE_WRITE)
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = (uintptr_t)memory & ~(page - 1);
    const uintptr_t end = ((uintptr_t)memory + size + page - 1) & ~(page - 1);
    madvise((void *)first, end - first, MADV_POPULATE_WRITE);
#else
    (void)memory;
    (void)size;
#endif
}
