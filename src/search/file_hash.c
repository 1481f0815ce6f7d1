/* SPDX-License-Identifier: MIT
 *
 * Files are read and not mapped, because a mapped file that becomes shorter ends the process.
 */
#include "search/file_hash.h"
#include "base/descriptor.h"
#include "base/memory.h"
#include "search/walk.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

/* A picture file is smaller: the largest that is decoded by default has 89 million pixels. */
enum { MOST_BYTES = 1 << 30 };

/* Tells whether a file cannot be opened now for a reason that is not its own. */
static bool is_short_of_memory(int reason)
{
    return reason == ENOMEM || reason == EMFILE || reason == ENFILE;
}

/* Reads until the end of the file, or until there is more than expected. */
static int read_all(int file, const char *path, uint8_t *data, size_t expected)
{
    size_t size = 0;
    while (size <= expected) {
        const int64_t count = descriptor_read(file, size, data + size, expected + 1 - size);
        if (count < 0)
            return error_fail(VKCLIP_EIO, "%s: %s", path, strerror(errno));
        if (!count)
            break;
        size += (size_t)count;
    }
    if (size != expected)
        return error_fail(VKCLIP_EIO, "%s: changed its size while it was read", path);
    return VKCLIP_OK;
}

static int read_file(int file, const char *path, struct store_stamp *stamp, void **data)
{
    struct file_status status;
    if (!file_status_of_descriptor(file, &status) || status.kind != FILE_KIND_FILE)
        return error_fail(VKCLIP_EIO, "%s: expected a regular file", path);
    *stamp = walk_stamp(&status);
    if (stamp->size > MOST_BYTES)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: %llu bytes, expected at most %d", path,
                          (unsigned long long)stamp->size, MOST_BYTES);
    *data = memory_alloc((size_t)stamp->size + 1);
    if (!*data)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for %llu bytes", path,
                          (unsigned long long)stamp->size);
    int error = read_all(file, path, *data, (size_t)stamp->size);
    if (error || !file_status_of_descriptor(file, &status))
        return error ? error : error_fail(VKCLIP_EIO, "%s: %s", path, strerror(errno));
    const struct store_stamp after = walk_stamp(&status);
    if (memcmp(&after, stamp, sizeof(after)))
        error = error_fail(VKCLIP_EIO, "%s: was written to while it was read", path);
    return error;
}

void file_hash_bytes(const void *data, size_t size, struct store_hash *hash)
{
    XXH128_canonical_t canonical;
    XXH128_canonicalFromHash(&canonical, XXH3_128bits(data, size));
    memcpy(hash->bytes, canonical.digest, sizeof(hash->bytes));
}

int file_hash_read(const char *path, struct store_stamp *stamp, struct store_hash *hash,
                   void **data, size_t *size)
{
    *stamp = (struct store_stamp){0};
    *data = NULL;
    *size = 0;
    const int file = descriptor_open(path, false);
    if (file < 0)
        return error_fail(is_short_of_memory(errno) ? VKCLIP_EMEMORY : VKCLIP_EIO, "%s: %s", path,
                          strerror(errno));
    int error = read_file(file, path, stamp, data);
    descriptor_close(file);
    if (error) {
        memory_free(*data);
        *data = NULL;
        return error;
    }
    *size = (size_t)stamp->size;
    file_hash_bytes(*data, *size, hash);
    return VKCLIP_OK;
}

void file_hash_open(const char *path, const struct store_stamp *stamp, int *file)
{
    struct file_status status;
    *file = descriptor_open(path, false);
    if (*file < 0)
        return;
    if (file_status_of_descriptor(*file, &status) && status.kind == FILE_KIND_FILE) {
        const struct store_stamp now = walk_stamp(&status);
        if (!memcmp(&now, stamp, sizeof(now)))
            return;
    }
    descriptor_close(*file);
    *file = -1;
}
