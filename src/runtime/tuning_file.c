/* SPDX-License-Identifier: MIT
 *
 * Keeps results of measurements and checks in files of the cache folder:
 *
 *     {"table": HASH, "device": NAME, "driver": NAME, MEMBER: {KEY: ENTRY, ...}}
 */
#include "runtime/tuning_file.h"
#include "base/cache.h"
#include "base/dump.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/thread.h"
#include "base/version.h"

#include <stdio.h>
#include <string.h>

#include "runtime/kernels.h"

/* The form of the entries. Files of another form are ignored: their choices were measured with less
 * care. */
#define FORM "2"

#define TABLE_HASH 17
static char table_hash[TABLE_HASH];

static void compute_hash(void)
{
    uint64_t hash = hash_bytes(0, VERSION FORM, strlen(VERSION FORM));
    for (size_t i = 0; i < kernel_count; i++) {
        const struct spirv *code = &kernels[i].code;
        hash = hash_bytes(hash, &code->offset, sizeof(code->offset));
        if (!code->offset) /* the first module of its block */
            hash = hash_bytes(hash, code->block->packed, code->block->packed_bytes);
    }
    snprintf(table_hash, TABLE_HASH, "%016llx", (unsigned long long)hash);
}

/* Identifies the table of kernels to which the names in a file belong. The hash reads all
 * SPIR-V, so it is computed once, and only if there is a file. */
static const char *hash_table(void)
{
    static struct once once = ONCE_INIT;
    once_run(&once, compute_hash);
    return table_hash;
}

json_t *tuning_file_read(const char *path, const char *member)
{
    struct cache_content content;
    json_t *found = json_object();
    cache_read(path, &content);
    json_t *file = content.data ? json_loadb(content.data, content.size, 0, NULL) : NULL;
    cache_release(&content);
    const char *table = json_string_value(json_object_get(file, "table"));
    if (found && table && !strcmp(table, hash_table()))
        json_object_update(found, json_object_get(file, member));
    json_decref(file);
    return found;
}

void tuning_file_write(const struct gpu *gpu, const char *path, const char *member, json_t *entries)
{
    const struct vkclip_device_info *info = gpu_info(gpu);
    if (!path)
        return;
    json_t *all = tuning_file_read(path, member); /* Another process may have added some. */
    json_object_update(all, entries);
    json_t *file = json_pack("{ss so}", "table", hash_table(), member, all);
    /* The names help a person who reads the file. A name that is not UTF-8 is left out. */
    json_object_set_new(file, "device", json_string(info->name));
    json_object_set_new(file, "driver", json_string(info->driver));
    char *text = file ? dump_json(file, JSON_INDENT(1) | JSON_REAL_PRECISION(5)) : NULL;
    if (text)
        cache_write(path, text, strlen(text));
    memory_free(text);
    json_decref(file);
}
