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

/* Large pages of x86-64 and of most arm64 systems. Where they are larger, the system takes as many
 * as fit. */
#define LARGE_PAGE ((uintptr_t)2 << 20)

void pages_prefer_large(void *memory, size_t size)
{
#ifdef __linux__
    const uintptr_t first = ((uintptr_t)memory + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1);
    const uintptr_t end = ((uintptr_t)memory + size) & ~(LARGE_PAGE - 1);
    if (end > first)
        madvise((void *)first, end - first, MADV_HUGEPAGE);
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
