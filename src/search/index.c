/* SPDX-License-Identifier: MIT
 *
 * Finds the file of an index and opens its store.
 */
#include "search/index.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/settings.h"
#include "base/string.h"
#include "search/walk.h"
#include "search/watch.h"

#include <string.h>

/* Makes the folder of the default file, which nobody else makes. */
static int make_parent(const char *path)
{
    const char *name = file_name(path);
    if (name == path)
        return VKCLIP_OK;
    char *folder = string_format("%.*s", (int)(name - path), path);
    const bool good = folder && folder_make_all(folder, 0700);
    memory_free(folder);
    return good ? VKCLIP_OK : error_fail(VKCLIP_EIO, "%s: its folder cannot be made", path);
}

/* Takes the path and the cache folder out of the settings. */
static int name_files(const char *path, struct settings *settings, struct vkclip_index *index)
{
    index->cache_folder = settings->cache_folder;
    settings->cache_folder = NULL;
    index->path = path ? string_format("%s", path) : settings->index;
    if (path && !index->path)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the name of an index");
    if (path)
        return VKCLIP_OK;
    settings->index = NULL;
    if (!index->path)
        return error_fail(VKCLIP_EINVALID, "no index named (`path`), and no home folder to find it "
                                           "in; VKCLIP_INDEX can name it");
    return index->read_only || store_is_on_server(index->path) ? VKCLIP_OK
                                                               : make_parent(index->path);
}

/* Files of vectors lie beside the index, or in the cache folder if the index is on a server. Where
 * there is none, the vectors are read into memory. */
static int name_vectors(struct vkclip_index *index)
{
    const bool local = !store_is_on_server(index->path);
    if (local)
        index->files_path = string_format("%s", index->path);
    else if (index->cache_folder && folder_make_all(index->cache_folder, 0700))
        index->files_path =
            string_format("%s/index-%016llx", index->cache_folder,
                          (unsigned long long)hash_bytes(0, index->path, strlen(index->path)));
    return index->files_path || !local ? VKCLIP_OK
                                       : error_fail(VKCLIP_EMEMORY, "out of memory for an index");
}

/* Opens the store by its name, and keeps of the name what messages may have. */
static int open_store(struct vkclip_index *index)
{
    char *name = index->path;
    index->path = store_shown_name(name);
    int error = index->path ? store_open(name, index->read_only, &index->store)
                            : error_fail(VKCLIP_EMEMORY, "out of memory for an index");
    memory_free(name);
    return error ? error : name_vectors(index);
}

int index_open(const struct vkclip_index_params *params, struct vkclip_index **result)
{
    static const struct vkclip_index_params defaults;
    struct settings settings;
    struct vkclip_index *index = *result = memory_calloc(1, sizeof(*index));
    if (!index)
        return error_fail(VKCLIP_EMEMORY, "out of memory for an index");
    params = params ? params : &defaults;
    index->read_only = params->read_only;
    index->progress = params->progress;
    index->user = params->user;
    int error = settings_read(NULL, &settings);
    if (!error)
        error = name_files(params->path, &settings, index);
    settings_free(&settings);
    if (!error)
        error = workers_open(0, &index->workers);
    if (!error)
        error = open_store(index);
    index->current = (struct current){.store = index->store,
                                      .path = index->path,
                                      .files_path = index->files_path,
                                      .workers = index->workers};
    if (error)
        index_close(result);
    return error;
}

void index_close(struct vkclip_index **handle)
{
    struct vkclip_index *index = *handle;
    if (!index)
        return;
    watch_close(&index->watch);
    current_close(&index->current);
    workers_close(&index->workers);
    store_close(&index->store);
    memory_free(index->path);
    memory_free(index->files_path);
    memory_free(index->cache_folder);
    memory_free(index);
    *handle = NULL;
}

struct model_list {
    struct vkclip_index_model *models;
    size_t capacity, count;
};

static int add_model(void *user, const struct store_model *model)
{
    struct model_list *list = user;
    if (list->count < list->capacity)
        list->models[list->count] = model->info;
    list->count++;
    return 0;
}

int index_list_models(struct vkclip_index *index, struct vkclip_index_model *models,
                      size_t capacity, size_t *count)
{
    struct model_list list = {models, capacity, 0};
    int error = index->store->read->each_model(index->store, add_model, &list);
    *count = list.count;
    return error;
}

int index_check_writable(const struct vkclip_index *index)
{
    return index->read_only
               ? error_fail(VKCLIP_EINVALID, "%s: was opened for reading only", index->path)
               : VKCLIP_OK;
}

static int watch_folder(void *user, const char *path)
{
    return watch_add(user, path);
}

int index_watch(struct vkclip_index *index, double seconds, bool *changed)
{
    struct vkclip_index_info info;
    *changed = false;
    int error = index->store->read->count(index->store, &info);
    if (!error && !info.folders)
        error = error_fail(VKCLIP_EINVALID, "%s: has no folders to watch", index->path);
    if (!error && !index->watch)
        error = watch_open(&index->watch);
    if (!error)
        error = index->store->read->each_root(index->store, watch_folder, index->watch);
    return error ? error : watch_wait(index->watch, seconds, changed);
}

int index_remove(struct vkclip_index *index, const char *const *paths, size_t count,
                 uint64_t *removed)
{
    struct store *store = index->store;
    *removed = 0;
    int error = index_check_writable(index);
    if (!error)
        error = store->write->begin(store);
    if (error)
        return error;
    for (size_t i = 0; i < count && !error; i++) {
        uint64_t files = 0;
        char *path = walk_make_absolute(paths[i]);
        error = path ? store->write->remove_files(store, path, &files)
                     : error_fail(VKCLIP_EMEMORY, "%s: out of memory", paths[i]);
        *removed += files;
        memory_free(path);
    }
    return store_end_writing(store, error);
}

int index_prune(struct vkclip_index *index, uint64_t *removed)
{
    struct store *store = index->store;
    *removed = 0;
    int error = index_check_writable(index);
    if (!error)
        error = store->write->begin(store);
    if (error)
        return error;
    error = store_end_writing(store, store->write->prune(store, removed));
    return error ? error : store->write->compact(store);
}

int index_add_hnsw(struct vkclip_index *index)
{
    int error = index_check_writable(index);
    return error ? error : index->store->write->add_hnsw(index->store);
}
