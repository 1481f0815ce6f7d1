/* SPDX-License-Identifier: MIT
 *
 * What a descriptor is of is asked of the system once, when its source is made.
 */
#include "base/file_source.h"
#include "base/descriptor.h"
#include "base/error.h"
#include "base/file_status.h"
#include "base/memory.h"
#include "base/string.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>

struct file_source file_source_path(const char *path)
{
    return (struct file_source){.kind = FILE_SOURCE_PATH, .name = path};
}

struct file_source file_source_memory(const void *data, size_t size, const char *name)
{
    return (struct file_source){
        .kind = FILE_SOURCE_MEMORY, .name = name, .size = size, .data = data};
}

/* ---- Descriptors ----------------------------------------------------------------------------- */

int file_source_descriptor(int file, uint64_t offset, uint64_t length, const char *name,
                           struct file_source *source)
{
    struct file_status status;
    *source = (struct file_source){
        .kind = FILE_SOURCE_DESCRIPTOR, .name = name, .file = file, .offset = offset};
    if (file < 0)
        return error_fail(VKCLIP_EINVALID, "%s: expected a descriptor, found %d", name, file);
    if (!file_status_of_descriptor(file, &status))
        return error_fail(VKCLIP_EIO, "%s: %s", name, strerror(errno));
    if (status.kind != FILE_KIND_FILE)
        return error_fail(VKCLIP_EIO,
                          "%s: not a regular file: what a pipe or socket sends can be read into "
                          "memory and opened there",
                          name);
    const uint64_t size = status.size;
    if (offset > size || length > size - offset)
        return error_fail(VKCLIP_EINVALID,
                          "%s: expected %llu bytes from %llu on (`length`, `offset`), found a file "
                          "of %llu",
                          name, (unsigned long long)length, (unsigned long long)offset,
                          (unsigned long long)size);
    source->size = length ? length : size - offset;
    return VKCLIP_OK;
}

/* ---- Keeping --------------------------------------------------------------------------------- */

int file_source_keep(const struct file_source *source, struct file_source *kept)
{
    *kept = *source;
    kept->name = string_format("%s", source->name);
    int error =
        kept->name ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "%s: out of memory", source->name);
    if (!error && source->kind == FILE_SOURCE_DESCRIPTOR) {
        kept->file = descriptor_copy(source->file);
        if (kept->file < 0)
            error = error_fail(VKCLIP_EIO, "%s: cannot be opened again: %s", source->name,
                               strerror(errno));
    }
    if (error) {
        memory_free((char *)kept->name);
        *kept = (struct file_source){0};
    }
    return error;
}

void file_source_release(struct file_source *kept)
{
    if (kept->name && kept->kind == FILE_SOURCE_DESCRIPTOR)
        descriptor_close(kept->file);
    memory_free((char *)kept->name);
    *kept = (struct file_source){0};
}
