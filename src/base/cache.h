/* SPDX-License-Identifier: MIT
 *
 * Reads and writes files in the user's cache folder, which hold what was compiled or measured and
 * can be computed again. A file that is damaged, of another kind or unreadable counts as absent,
 * and a file that cannot be written is no failure. Several processes may use the same files at
 * once: each sees complete files only. This module knows nothing of the content.
 */
#ifndef VKCLIP_BASE_CACHE_H
#define VKCLIP_BASE_CACHE_H

#include "base/file.h"

/* Returns the path of a file in a folder as a new string, and makes the folder if it is absent.
 * Returns NULL where the folder cannot be written to. */
char *cache_path(const char *folder, const char *name);

struct cache_content {
    const void *data; /* NULL where there is no intact file */
    size_t size;
    struct file_map map;
};
/* Maps the content of a file. A `path` of NULL counts as an absent file. */
void cache_read(const char *path, struct cache_content *content);
void cache_release(struct cache_content *content);
/* Replaces the file. Where that fails, the old file stays as it was. A file that has this content
 * already is left alone, because the disk takes longer to write one than most processes to start.
 */
void cache_write(const char *path, const void *data, size_t size);

#endif
