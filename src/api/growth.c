/* SPDX-License-Identifier: MIT */
#include "api/growth.h"
#include "base/error.h"
#include "base/memory.h"

#include <string.h>

/* No struct comes near this size, but memory that was never set may say anything. */
enum { MOST = 1 << 16 };

static size_t read_size(const void *given)
{
    size_t size;
    memcpy(&size, given, sizeof(size));
    return size;
}

int growth_check(const void *given, const char *name)
{
    const size_t size = given ? read_size(given) : 2 * sizeof(size_t);
    if (size <= sizeof(size_t) || size > MOST)
        return error_fail(VKCLIP_EINVALID,
                          "`size` of struct %s is %zu: set it to sizeof, more than %zu and at "
                          "most %d",
                          name, size, sizeof(size_t), MOST);
    return VKCLIP_OK;
}

int growth_read(void *copy, size_t size, const void *given, const char *name)
{
    memset(copy, 0, size);
    int error = growth_check(given, name);
    if (error || !given)
        return error;
    const size_t given_size = read_size(given), common = given_size < size ? given_size : size;
    memcpy(copy, given, common);
    memcpy(copy, &size, sizeof(size));
    const unsigned char *bytes = given;
    for (size_t i = common; i < given_size; i++)
        if (bytes[i])
            return error_fail(VKCLIP_EUNSUPPORTED,
                              "struct %s has %zu bytes, of which this version of the library knows "
                              "%zu: expected zeros after them, found another value at byte %zu",
                              name, given_size, size, i);
    return VKCLIP_OK;
}

int growth_read_all(void **copies, size_t size, const void *given, size_t count, const char *name)
{
    *copies = NULL;
    if (!given || !count)
        return VKCLIP_OK;
    char *copy = memory_calloc(count, size);
    int error =
        copy ? growth_check(given, name) : error_fail(VKCLIP_EMEMORY, "out of memory for %s", name);
    for (size_t i = 0; i < count && !error; i++)
        error =
            growth_read(copy + i * size, size, (const char *)given + i * read_size(given), name);
    *copies = copy;
    return error;
}

void growth_write(void *given, size_t index, const void *info, size_t size)
{
    if (!given)
        return;
    const size_t stride = read_size(given);
    char *entry = (char *)given + index * stride;
    memcpy(entry, info, stride < size ? stride : size);
    memcpy(entry, &stride, sizeof(stride));
}
