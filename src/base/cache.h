/* SPDX-License-Identifier: MIT
 *
 * Files in the user's cache folder: what was once compiled or measured, and can be again. A file
 * that is damaged, of another kind or cannot be read is as good as none; one that cannot be written
 * is no failure. Several processes may use the same files at once: each sees a whole one. Knows
 * nothing of what is in them.
 */
#ifndef VKCLIP_BASE_CACHE_H
#define VKCLIP_BASE_CACHE_H

#include "base/file.h"

/* Path of a file in a folder, which is made if it is absent. A new string; NULL where the folder
 * cannot be written to. */
char *cache_path(const char *folder, const char *name);

struct cache_content {
    const void *data; /* NULL: no such file, or no good one */
    size_t size;
    struct file_map map;
};
/* `path` NULL: no file. */
void cache_read(const char *path, struct cache_content *content);
void cache_release(struct cache_content *content);
/* The file becomes this, or stays what it was. */
void cache_write(const char *path, const void *data, size_t size);

#endif
