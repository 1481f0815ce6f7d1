/* SPDX-License-Identifier: MIT
 *
 * Reads model.safetensors.index.json or pytorch_model.bin.index.json and opens the files that it
 * names. Refuses files outside the index's folder, files of another format than the index's, and
 * more than 1,024 files. A tensor that is not in the file which the index names for it is left out,
 * as transformers does, and is refused as missing where a tower needs it.
 */
#include "checkpoint/shards.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "checkpoint/content.h"
#include "checkpoint/json.h"
#include "format/safetensors.h"
#include "format/torch_pt.h"

#include <string.h>

enum { INDEX_MAX = 8 << 20, FILES_MAX = 1024 };

/* Returns the suffix of the files that an index names, or NULL if the path is not that of an index.
 */
static const char *shard_ending(const char *path)
{
    if (string_ends_with(path, ".safetensors.index.json"))
        return ".safetensors";
    return string_ends_with(path, ".bin.index.json") ? ".bin" : NULL;
}

bool shards_is_index(const char *path)
{
    return shard_ending(path) != NULL;
}

/* Tells whether a name leads to a file beside the index or in a folder below. No folder and no file
 * may begin with a dot, so that none leads upwards. */
static bool is_inside(const char *name, const char *ending)
{
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += part != name;
        if (*part == '.' || *part == '/')
            return false;
    }
    return !strpbrk(name, "\\:") && string_ends_with(name, ending);
}

static const char *shard_path(const struct shard *file)
{
    return file->safetensors ? file->safetensors->path : file->torch_pt->path;
}

/* Returns the open file of that path, or NULL if it is not open yet. */
static struct shard *find_open(const struct shards *shards, const char *path)
{
    for (size_t i = 0; i < shards->file_count; i++)
        if (!strcmp(shard_path(&shards->files[i]), path))
            return &shards->files[i];
    return NULL;
}

/* Opens the file that the index at `index` names for a tensor. */
static int open_new(const char *index, const char *tensor, const char *path, struct shards *shards)
{
    struct shard *file = &shards->files[shards->file_count];
    if (shards->file_count == FILES_MAX)
        return error_fail(VKCLIP_EFORMAT, "%s: names more than %d files", index, FILES_MAX);
    if (!file_exists(path))
        return error_fail(VKCLIP_EIO, "%s: no such file, but %s has tensor %.200s in it", path,
                          index, tensor);
    const struct file_source source = file_source_path(path);
    int error = content_check(&source);
    if (error)
        return error;
    error = strcmp(shard_ending(index), ".bin") ? safetensors_open(path, &file->safetensors)
                                                : torch_pt_open(path, &file->torch_pt);
    shards->file_count += !error;
    return error;
}

static int open_file(const char *index, const char *tensor, const char *name, struct shards *shards,
                     struct shard **file)
{
    const char *ending = shard_ending(index);
    if (!name || !is_inside(name, ending))
        return error_fail(VKCLIP_EFORMAT,
                          "%s: %.200s: expected the name of a %s file beside the index, found "
                          "%.200s",
                          index, tensor, ending, name ? name : "something else");
    char *path = string_format("%.*s%s", (int)(file_name(index) - index), index, name);
    if (!path)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", index);
    int error = VKCLIP_OK;
    *file = find_open(shards, path);
    if (!*file) {
        error = open_new(index, tensor, path, shards);
        *file = find_open(shards, path);
    }
    memory_free(path);
    return error;
}

static const struct tensor_view *find_view(const struct shard *file, const char *name)
{
    if (file->safetensors)
        return safetensors_find(file->safetensors, name);
    return tensor_view_find(file->torch_pt->tensors, file->torch_pt->count, name);
}

static int find_views(const char *path, json_t *map, struct shards *shards)
{
    const char *tensor, *absent = NULL;
    size_t absent_count = 0;
    json_t *name;
    shards->files = memory_calloc(FILES_MAX, sizeof(*shards->files));
    shards->views = memory_calloc(json_object_size(map), sizeof(*shards->views));
    if (!shards->files || !shards->views)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    json_object_foreach (map, tensor, name) {
        struct shard *file = NULL;
        int error = open_file(path, tensor, json_string_value(name), shards, &file);
        if (error)
            return error;
        const struct tensor_view *view = find_view(file, tensor);
        if (view)
            shards->views[shards->count++] = *view;
        else if (!absent_count++)
            absent = tensor;
    }
    if (absent)
        log_message(VKCLIP_LOG_WARNING, "%s: names %zu tensors that its files lack, first %.200s",
                    path, absent_count, absent);
    tensor_view_sort(shards->views, shards->count);
    return VKCLIP_OK;
}

int shards_open(const char *path, struct shards *shards)
{
    json_t *root = NULL;
    *shards = (struct shards){0};
    int error = json_file_read(path, INDEX_MAX, &root);
    if (error)
        return error;
    json_t *map = json_object_get(root, "weight_map");
    if (json_object_size(map))
        error = find_views(path, map, shards);
    else
        error = error_fail(VKCLIP_EFORMAT,
                           "%s: expected an object \"weight_map\" from tensors to files", path);
    json_decref(root);
    if (error)
        shards_close(shards);
    return error;
}

const char *shards_path(const struct shards *shards, size_t index)
{
    return shard_path(&shards->files[index]);
}

void shards_close(struct shards *shards)
{
    for (size_t i = 0; i < shards->file_count; i++) {
        safetensors_close(&shards->files[i].safetensors);
        torch_pt_close(&shards->files[i].torch_pt);
    }
    memory_free(shards->files);
    memory_free(shards->views);
    *shards = (struct shards){0};
}
