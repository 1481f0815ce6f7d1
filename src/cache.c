/* SPDX-License-Identifier: MIT
 *
 * A line with size and checksum, then the content: drivers have crashed on damaged cache data.
 */
#include "cache.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 41 }; /* bytes */

static void make_header(const void *data, size_t size, char header[HEADER + 1])
{
    snprintf(header, HEADER + 1, "vkclip %016llx %016llx\n", (unsigned long long)size,
             (unsigned long long)util_hash(0, data, size));
}

char *cache_path(const char *folder, const char *name)
{
    char *own = util_cache_dir(folder);
    char *path = own ? util_format("%s/%s", own, name) : NULL;
    free(own);
    return path;
}

void cache_read(const char *path, struct cache_content *content)
{
    char header[HEADER + 1];
    *content = (struct cache_content){0};
    if (!path || !util_is_file(path) || util_map_file(path, &content->map))
        return;
    const struct util_map *map = &content->map;
    if (map->size >= HEADER) {
        make_header(map->data + HEADER, map->size - HEADER, header);
        if (!memcmp(map->data, header, HEADER)) {
            content->data = map->data + HEADER;
            content->size = map->size - HEADER;
        }
    }
    if (!content->data)
        util_log(VKCLIP_LOG_INFO, "%s: damaged, ignored", path);
}

void cache_release(struct cache_content *content)
{
    util_unmap_file(&content->map);
    *content = (struct cache_content){0};
}

void cache_write(const char *path, const void *data, size_t size)
{
    char header[HEADER + 1];
    make_header(data, size, header);
    struct util_part parts[] = {{header, HEADER}, {data, size}};
    util_write_file(path, parts, 2);
}
