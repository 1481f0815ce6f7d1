/* SPDX-License-Identifier: MIT
 *
 * What the system knows of a file or folder. On Windows junctions count as links.
 */
#ifndef VKCLIP_BASE_FILE_STATUS_H
#define VKCLIP_BASE_FILE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

enum file_kind { FILE_KIND_OTHER, FILE_KIND_FILE, FILE_KIND_FOLDER, FILE_KIND_LINK };

struct file_status {
    enum file_kind kind;
    uint64_t device, inode; /* Together they tell a file from all others. */
    uint64_t size;
    int64_t modified, changed; /* nanoseconds since 1970, the latter of any change */
};

/* Finds what a path leads to. False, with the reason in errno, where that cannot be known. */
bool file_status(const char *path, struct file_status *status);
/* The same, but of a link itself. */
bool file_status_of_link(const char *path, struct file_status *status);
bool file_status_of_descriptor(int file, struct file_status *status);

/* Tells whether a path leads to a socket of this user, so that nobody else can have made it. */
bool file_is_own_socket(const char *path);

#endif
