/* SPDX-License-Identifier: MIT
 *
 * A cache file is a line with the size and a checksum of the content, then the content. The file
 * has a checksum because drivers have crashed on damaged cache data.
 */
#include "base/cache.h"
#include "base/folder.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/string.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 41 }; /* bytes of the first line */

static void make_header(const void *data, size_t size, char header[HEADER + 1])
{
    snprintf(header, HEADER + 1, "vkclip %016llx %016llx\n", (unsigned long long)size,
             (unsigned long long)hash_bytes(0, data, size));
}

char *cache_path(const char *folder, const char *name)
{
    return folder_make_all(folder, 0700) ? string_format("%s/%s", folder, name) : NULL;
}

static bool is_intact(const struct file_map *map)
{
    char header[HEADER + 1];
    if (map->size < HEADER)
        return false;
    make_header(map->data + HEADER, map->size - HEADER, header);
    return !memcmp(map->data, header, HEADER);
}

void cache_read(const char *path, struct cache_content *content)
{
    struct file_map *map = &content->map;
    *content = (struct cache_content){0};
    if (!path || !file_exists(path) || file_map_open(path, map))
        return;
    if (is_intact(map)) {
        content->data = map->data + HEADER;
        content->size = map->size - HEADER;
    } else {
        log_message(VKCLIP_LOG_INFO, "%s: damaged cache file, ignored", path);
    }
}

void cache_release(struct cache_content *content)
{
    file_map_close(&content->map);
    *content = (struct cache_content){0};
}

void cache_write(const char *path, const void *data, size_t size)
{
    char header[HEADER + 1];
    struct cache_content old;
    make_header(data, size, header);
    struct file_part parts[] = {{header, HEADER}, {data, size}};
    cache_read(path, &old);
    const bool same = old.data && !memcmp(old.map.data, header, HEADER);
    cache_release(&old);
    if (!same)
        file_write(path, parts, 2);
}
