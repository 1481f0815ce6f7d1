/* SPDX-License-Identifier: MIT
 *
 * Files in the user's cache folder: what was compiled or measured once and can be again. A file
 * that is damaged, of another kind or unreadable counts as absent, and a file that cannot be
 * written is no failure. Several processes may use the same files at once: each sees a whole one.
 * Knows nothing of what is in them.
 */
#ifndef VKCLIP_BASE_CACHE_H
#define VKCLIP_BASE_CACHE_H

#include "base/file.h"

/* Path of a file in a folder, which is made if it is absent. A new string; NULL where the folder
 * cannot be written to. */
char *cache_path(const char *folder, const char *name);

struct cache_content {
    const void *data; /* NULL where there is no intact file */
    size_t size;
    struct file_map map;
};
/* Maps the content of a file; `path` may be NULL, which is a file that is absent. */
void cache_read(const char *path, struct cache_content *content);
void cache_release(struct cache_content *content);
/* Replaces the file, or leaves it as it was where that fails. */
void cache_write(const char *path, const void *data, size_t size);

#endif
