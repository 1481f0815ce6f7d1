/* SPDX-License-Identifier: MIT
 *
 * Where all of the library takes its memory from: an allocator of the application, or malloc. Only
 * base/memory.c calls the C library for that. Not counted are pages that the system gives, such as
 * files that are mapped (base/pages, base/file), and what other libraries take for themselves:
 * zlib, libspng, libjxl and stb come here, and all others call malloc. The command and the tests
 * never set an allocator, and may give memory back by free.
 */
#ifndef VKCLIP_BASE_MEMORY_H
#define VKCLIP_BASE_MEMORY_H

#include <stddef.h>

#include "vkclip.h"

/* Like the functions of the C library whose names they have. */
void *memory_alloc(size_t size);
void *memory_calloc(size_t count, size_t size);
void *memory_realloc(void *memory, size_t size);
void memory_free(void *memory);

/* Returns how many allocations have failed on this thread. A library that says of a lack of memory
 * that a file is damaged has failed for the first reason if the number has grown. */
size_t memory_failures(void);

/* Moves a string to this memory from that of the C library, which is freed. Returns NULL when out
 * of memory, and if the string is NULL. */
char *memory_adopt(char *text);

/* Lets the threads of a process that runs for long share what malloc keeps of freed memory, before
 * they are started. glibc would keep some for each of many threads, which adds up to several times
 * what is in use. */
void memory_share_arenas(void);

/* Two functions that zlib takes, which hand on to those above. */
void *memory_zlib_alloc(void *opaque, unsigned count, unsigned size);
void memory_zlib_free(void *opaque, void *memory);

/* Takes memory from an allocator from now on, which is copied, or from malloc if it is NULL. Is
 * refused while anything is allocated, because one allocator cannot free what another one gave. */
int memory_set_allocator(const struct vkclip_allocator *allocator);

#endif
