/* SPDX-License-Identifier: MIT
 *
 * Says where a file is that a reader of some format reads: at a path, within an open file, or in
 * memory. Readers take a source, so that none of them has to know which of the three it is. Refuses
 * descriptors of anything but regular files, because only those can be read at any place.
 */
#ifndef VKCLIP_BASE_FILE_SOURCE_H
#define VKCLIP_BASE_FILE_SOURCE_H

#include <stddef.h>
#include <stdint.h>

enum file_source_kind { FILE_SOURCE_PATH, FILE_SOURCE_DESCRIPTOR, FILE_SOURCE_MEMORY };

/* A source owns nothing, unless file_source_keep made it. */
struct file_source {
    enum file_source_kind kind;
    const char *name; /* the path, or what messages call a source without one */
    int file;         /* the descriptor, whose position is neither used nor moved */
    uint64_t offset;  /* of the descriptor's part in its file */
    uint64_t size;    /* bytes of the descriptor's part, or of the memory; 0 for a path */
    const void *data; /* the memory */
};

struct file_source file_source_path(const char *path);
struct file_source file_source_memory(const void *data, size_t size, const char *name);
/* Describes `length` bytes of an open file, or all up to its end if that is 0. Fails with EINVALID
 * if the file has no such part, and with EIO if the descriptor is closed or no regular file. */
int file_source_descriptor(int file, uint64_t offset, uint64_t length, const char *name,
                           struct file_source *source);

/* Copies a source with its name, and with a descriptor of its own, which the caller may close. The
 * memory is not copied. After an error there is nothing to release. */
int file_source_keep(const struct file_source *source, struct file_source *kept);
void file_source_release(struct file_source *kept);

#endif
