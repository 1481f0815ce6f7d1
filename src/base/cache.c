/* SPDX-License-Identifier: MIT
 *
 * A line with size and checksum, then the content: drivers have crashed on damaged cache data.
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

enum { HEADER = 41 }; /* bytes */

static void make_header(const void *data, size_t size, char header[HEADER + 1])
{
    snprintf(header, HEADER + 1, "vkclip %016llx %016llx\n", (unsigned long long)size,
             (unsigned long long)hash_bytes(0, data, size));
}

char *cache_path(const char *folder, const char *name)
{
    return folder_make_all(folder) ? string_format("%s/%s", folder, name) : NULL;
}

void cache_read(const char *path, struct cache_content *content)
{
    char header[HEADER + 1];
    *content = (struct cache_content){0};
    if (!path || !file_exists(path) || file_map_open(path, &content->map))
        return;
    const struct file_map *map = &content->map;
    if (map->size >= HEADER) {
        make_header(map->data + HEADER, map->size - HEADER, header);
        if (!memcmp(map->data, header, HEADER)) {
            content->data = map->data + HEADER;
            content->size = map->size - HEADER;
        }
    }
    if (!content->data)
        log_message(VKCLIP_LOG_INFO, "%s: damaged, ignored", path);
}

void cache_release(struct cache_content *content)
{
    file_map_close(&content->map);
    *content = (struct cache_content){0};
}

void cache_write(const char *path, const void *data, size_t size)
{
    char header[HEADER + 1];
    make_header(data, size, header);
    struct file_part parts[] = {{header, HEADER}, {data, size}};
    file_write(path, parts, 2);
}
