/* SPDX-License-Identifier: MIT
 *
 * Asks the system for pages of memory in larger units than one page at each first access.
 */
#ifndef VKCLIP_BASE_PAGES_H
#define VKCLIP_BASE_PAGES_H

#include <stddef.h>

/* Bytes of a large page of x86-64 and of most arm64 systems. Where they are larger, the system
 * takes as many as fit. */
#define PAGES_LARGE ((size_t)2 << 20)

/* Takes memory from the system that begins with a large page; `size` is a number of whole ones.
 * Returns NULL where there is none, and on systems that have no large pages. */
void *pages_allocate(size_t size);
void pages_free(void *memory, size_t size);

/* Asks for large pages within [memory, memory + size), which must be ordinary memory that was not
 * used yet. Filling 600 MB then takes 300 page faults in place of 150,000. Does nothing where the
 * system has no large pages. */
void pages_prefer_large(void *memory, size_t size);
/* Makes the system provide the pages of [memory, memory + size), which will be written next. One
 * call costs less than a page fault at each page. Does nothing where the system cannot do it. */
void pages_provide(void *memory, size_t size);

#endif
