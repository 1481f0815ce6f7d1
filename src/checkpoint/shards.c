/* SPDX-License-Identifier: MIT
 *
 * Reads model.safetensors.index.json or pytorch_model.bin.index.json and opens what it names.
 * Refuses files outside the index's folder, and an index that its files do not bear out.
 */
#include "checkpoint/shards.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { INDEX_MAX = 8 << 20, FILES_MAX = 1024 };

/* What the files of an index are called at the end; NULL: the path is none of an index. */
static const char *file_end(const char *path)
{
    return string_ends_with(path, ".safetensors.index.json") ? ".safetensors"
           : string_ends_with(path, ".bin.index.json")       ? ".bin"
                                                             : NULL;
}

bool weights_index_is(const char *path)
{
    return file_end(path) != NULL;
}

static int read_json(const char *path, json_t **root)
{
    char *text = NULL;
    size_t size;
    json_error_t where;
    int error = file_read(path, INDEX_MAX, &text, &size);
    if (error)
        return error;
    *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    free(text);
    if (!*root)
        return error_fail(VKCLIP_EFORMAT, "%s: line %d: %s", path, where.line, where.text);
    if (!json_object_size(json_object_get(*root, "weight_map")))
        return error_fail(VKCLIP_EFORMAT,
                          "%s: expected an object \"weight_map\" from tensors to files", path);
    return VKCLIP_OK;
}

/* A file's plain name: it lies beside the index. */
static bool is_plain(const char *name, const char *end)
{
    return name[0] != '.' && !strpbrk(name, "/\\:") && string_ends_with(name, end);
}

static const char *shard_path(const struct weights_shard *file)
{
    return file->safetensors ? file->safetensors->path : file->torch_pt->path;
}

static int open_file(const char *path, const char *tensor, const char *name,
                     struct weights_index *index, struct weights_shard **file)
{
    const char *end = file_end(path);
    if (!name || !is_plain(name, end))
        return error_fail(VKCLIP_EFORMAT,
                          "%s: %.200s: expected the name of a %s file beside the index, found "
                          "%.200s",
                          path, tensor, end, name ? name : "something else");
    const char *slash = strrchr(path, '/'), *back = strrchr(path, '\\');
    slash = back && (!slash || back > slash) ? back : slash;
    char *full = string_format("%.*s%s", slash ? (int)(slash + 1 - path) : 0, path, name);
    int error = full ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    *file = NULL;
    for (size_t i = 0; !error && !*file && i < index->file_count; i++)
        if (!strcmp(shard_path(&index->files[i]), full))
            *file = &index->files[i];
    if (error || *file)
        goto done;
    struct weights_shard *next = &index->files[index->file_count];
    if (index->file_count == FILES_MAX) {
        error = error_fail(VKCLIP_EFORMAT, "%s: names more than %d files", path, FILES_MAX);
    } else if (!file_exists(full)) {
        error = error_fail(VKCLIP_EIO, "%s: no such file, but %s has tensor %.200s in it", full,
                           path, tensor);
    } else if (!(error = strcmp(end, ".bin") ? safetensors_open(full, &next->safetensors)
                                             : torch_pt_open(full, &next->torch_pt))) {
        index->file_count++;
        *file = next;
    }
done:
    free(full);
    return error;
}

static const struct tensor_view *find_view(const struct weights_shard *file, const char *name)
{
    if (file->safetensors)
        return safetensors_find(file->safetensors, name);
    return tensor_view_find(file->torch_pt->tensors, file->torch_pt->count, name);
}

static int find_views(const char *path, json_t *map, struct weights_index *index)
{
    const char *tensor;
    json_t *name;
    index->files = calloc(FILES_MAX, sizeof(*index->files));
    index->views = calloc(json_object_size(map), sizeof(*index->views));
    if (!index->files || !index->views)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    json_object_foreach (map, tensor, name) {
        struct weights_shard *file;
        int error = open_file(path, tensor, json_string_value(name), index, &file);
        if (error)
            return error;
        const struct tensor_view *view = find_view(file, tensor);
        if (!view)
            return error_fail(VKCLIP_EFORMAT, "%s: has no tensor %.200s, which %s has in it",
                              shard_path(file), tensor, path);
        index->views[index->count++] = *view;
    }
    tensor_view_sort(index->views, index->count);
    return VKCLIP_OK;
}

int weights_index_open(const char *path, struct weights_index *index)
{
    json_t *root = NULL;
    *index = (struct weights_index){0};
    int error = read_json(path, &root);
    if (!error)
        error = find_views(path, json_object_get(root, "weight_map"), index);
    json_decref(root);
    if (error)
        weights_index_close(index);
    return error;
}

const char *weights_index_path(const struct weights_index *index, size_t file)
{
    return shard_path(&index->files[file]);
}

void weights_index_close(struct weights_index *index)
{
    for (size_t i = 0; i < index->file_count; i++) {
        safetensors_close(&index->files[i].safetensors);
        torch_pt_close(&index->files[i].torch_pt);
    }
    free(index->files);
    free(index->views);
    *index = (struct weights_index){0};
}
