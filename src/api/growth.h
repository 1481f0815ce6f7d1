/* SPDX-License-Identifier: MIT
 *
 * Lets programs and the library have different versions of vkclip.h. A struct that a caller
 * allocates begins with its size as it was compiled, and only ever grows at its end. The functions
 * of api/ copy it to or from a struct of this version, which is what all other code sees. Refuses
 * sizes that nobody can mean, and params that ask for what this version does not know.
 */
#ifndef VKCLIP_API_GROWTH_H
#define VKCLIP_API_GROWTH_H

#include <stddef.h>

/* Checks the size of a caller's struct; NULL is in order. */
int growth_check(const void *given, const char *name);
/* Copies params to a zeroed struct of this version's `size`. Members beyond the caller's size, or
 * all if `given` is NULL, are zero. */
int growth_read(void *copy, size_t size, const void *given, const char *name);
/* Copies an array of `count` structs, whose first entry tells the size of each, to a new array of
 * this version's structs, which the caller frees; NULL if `given` is NULL. */
int growth_read_all(void **copies, size_t size, const void *given, size_t count, const char *name);
/* Copies an info of this version's `size` to entry number `index` of the caller's array, whose
 * first entry tells the size of each. Members that the library does not know stay as they are.
 * Does nothing if `given` is NULL. */
void growth_write(void *given, size_t index, const void *info, size_t size);

/* The same for a struct by its name without `struct`. */
#define GROWTH_CHECK(type, given) growth_check(given, #type)
#define GROWTH_READ(type, copy, given) growth_read(copy, sizeof(struct type), given, #type)
#define GROWTH_READ_ALL(type, copies, given, count) \
    growth_read_all(copies, sizeof(struct type), given, count, #type)
#define GROWTH_WRITE(type, given, info) growth_write(given, 0, info, sizeof(struct type))
#define GROWTH_WRITE_ENTRY(type, given, index, info) \
    growth_write(given, index, info, sizeof(struct type))

#endif
