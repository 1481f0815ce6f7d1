/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of an index.
 */
#include "api/arguments.h"
#include "api/growth.h"
#include "api/import.h"
#include "api/index_call.h"
#include "api/update.h"
#include "base/memory.h"
#include "search/export.h"

#include <math.h>

bool vkclip_has_search(void)
{
    return true;
}

bool vkclip_has_postgresql(void)
{
#ifdef VKCLIP_WITH_POSTGRESQL
    return true;
#else
    return false;
#endif
}

int vkclip_open_index(const struct vkclip_index_params *params, struct vkclip_index **index)
{
    struct vkclip_index_params full;
    if (!index)
        return error_fail(VKCLIP_EINVALID, "vkclip_open_index: index expected");
    *index = NULL;
    struct progress progress;
    int error = GROWTH_READ(vkclip_index_params, &full, params);
    if (error)
        return error;
    progress_begin(&progress, full.progress, full.user, 1);
    progress.independent = true;
    error = progress_check();
    if (!error)
        error = index_open(&full, index);
    error = progress_end(&progress, error);
    if (error)
        return error;
    error = guard_open((*index)->path, TURNS_INDEX, NULL, &(*index)->guard);
    if (error)
        index_close(index);
    return error;
}

void vkclip_close_index(struct vkclip_index **index)
{
    struct turn turn;
    if (!index || !*index)
        return;
    struct guard *guard = (*index)->guard;
    if (!guard_begin_close(&turn, __func__, guard, index))
        return;
    index_close(index);
    guard_end_close(&turn, guard);
}

int vkclip_get_index_info(struct vkclip_index *index, struct vkclip_index_info *info)
{
    struct vkclip_index_info full = {0};
    struct index_call call;
    if (!index || !info)
        return error_fail(VKCLIP_EINVALID, "vkclip_get_index_info: index and info expected");
    int error = GROWTH_CHECK(vkclip_index_info, info);
    if (!error)
        error = index_enter(&call, __func__, index);
    if (!error)
        error = index_leave(&call, index->store->read->count(index->store, &full));
    if (!error)
        GROWTH_WRITE(vkclip_index_info, info, &full);
    return error;
}

int vkclip_list_index_models(struct vkclip_index *index, struct vkclip_index_model *models,
                             size_t capacity, size_t *count)
{
    struct index_call call;
    if (!index || !count || (!models && capacity))
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_list_index_models: index, models and count expected");
    int error = capacity ? GROWTH_CHECK(vkclip_index_model, models) : VKCLIP_OK;
    if (error)
        return error;
    struct vkclip_index_model *found = memory_calloc(capacity + 1, sizeof(*found));
    if (!found)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu models", capacity);
    error = index_enter(&call, __func__, index);
    if (!error)
        error = index_leave(&call, index_list_models(index, found, capacity, count));
    for (size_t i = 0; !error && i < *count && i < capacity; i++)
        GROWTH_WRITE_ENTRY(vkclip_index_model, models, i, &found[i]);
    memory_free(found);
    return error;
}

struct folder_listing {
    vkclip_folder_fn *folder;
    void *user;
};

static int give_folder(void *user, const char *path)
{
    const struct folder_listing *listing = user;
    return listing->folder(listing->user, path)
               ? error_fail(VKCLIP_ECANCELLED, "the list was stopped by the caller's function")
               : VKCLIP_OK;
}

int vkclip_list_index_folders(struct vkclip_index *index, vkclip_folder_fn *folder, void *user)
{
    if (!index || !folder)
        return error_fail(VKCLIP_EINVALID, "vkclip_list_index_folders: index and folder expected");
    struct folder_listing listing = {folder, user};
    struct index_call call;
    int error = index_enter(&call, __func__, index);
    if (error)
        return error;
    error = index->store->read->each_root(index->store, give_folder, &listing);
    return index_leave(&call, error);
}

int vkclip_list_index_failures(struct vkclip_index *index, vkclip_failure_fn *failure, void *user)
{
    if (!index || !failure)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_list_index_failures: index and failure expected");
    struct index_call call;
    int error = index_enter(&call, __func__, index);
    if (error)
        return error;
    error = index->store->read->each_failure(index->store, failure, user);
    return index_leave(&call, error);
}

int vkclip_index_paths(struct vkclip_index *index, struct vkclip_model *model,
                       const char *const *paths, size_t count,
                       const struct vkclip_update_params *params,
                       struct vkclip_update_result *result)
{
    struct vkclip_update_params full;
    struct vkclip_update_result done = {0};
    struct index_call call;
    if (!index || !model)
        return error_fail(VKCLIP_EINVALID, "vkclip_index_paths: index and model expected");
    int error = GROWTH_CHECK(vkclip_update_result, result);
    if (!error)
        error = GROWTH_READ(vkclip_update_params, &full, params);
    if (!error)
        error = arguments_check_strings("paths", paths, NULL, count);
    if (!error)
        error = index_enter_both(&call, __func__, model->guard, index);
    if (error)
        return error;
    error = update_index(index, model, paths, count, &full, &done);
    GROWTH_WRITE(vkclip_update_result, result, &done);
    return index_leave(&call, error);
}

int vkclip_watch_index(struct vkclip_index *index, double seconds, bool *changed)
{
    if (!index || !changed || isnan(seconds))
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_watch_index: index, a number of seconds, and changed expected");
    struct index_call call;
    const int error = index_enter(&call, __func__, index);
    return error ? error : index_leave(&call, index_watch(index, seconds, changed));
}

int vkclip_remove_indexed(struct vkclip_index *index, const char *const *paths, size_t count,
                          uint64_t *removed)
{
    uint64_t ignored;
    struct index_call call;
    if (!index)
        return error_fail(VKCLIP_EINVALID, "vkclip_remove_indexed: index expected");
    int error = arguments_check_strings("paths", paths, NULL, count);
    if (!error)
        error = index_enter(&call, __func__, index);
    if (error)
        return error;
    return index_leave(&call, index_remove(index, paths, count, removed ? removed : &ignored));
}

int vkclip_prune_index(struct vkclip_index *index, uint64_t *removed)
{
    uint64_t ignored;
    if (!index)
        return error_fail(VKCLIP_EINVALID, "vkclip_prune_index: index expected");
    struct index_call call;
    const int error = index_enter(&call, __func__, index);
    return error ? error : index_leave(&call, index_prune(index, removed ? removed : &ignored));
}

int vkclip_add_hnsw_index(struct vkclip_index *index)
{
    if (!index)
        return error_fail(VKCLIP_EINVALID, "vkclip_add_hnsw_index: index expected");
    struct index_call call;
    const int error = index_enter(&call, __func__, index);
    return error ? error : index_leave(&call, index_add_hnsw(index));
}

int vkclip_export_index(struct vkclip_index *index, const struct vkclip_model *model,
                        const char *folder, uint64_t *exported)
{
    struct vkclip_index_model described;
    uint64_t ignored;
    if (!index || !model || !folder)
        return error_fail(VKCLIP_EINVALID, "vkclip_export_index: index, model and folder expected");
    struct index_call call;
    int error = index_enter_both(&call, __func__, model->guard, index);
    if (error)
        return error;
    error = update_describe_model(index, model, &described);
    if (!error)
        error = export_clip_retrieval(index, described.identity, described.embed_dim, folder,
                                      exported ? exported : &ignored);
    return index_leave(&call, error);
}

int vkclip_import_rclip(struct vkclip_index *index, struct vkclip_model *model,
                        const char *database, vkclip_progress_fn *ask, void *user,
                        struct vkclip_import_result *result)
{
    struct vkclip_import_result done = {0};
    struct progress progress;
    if (!index || !model || !database)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_import_rclip: index, model and database expected");
    int error = GROWTH_CHECK(vkclip_import_result, result);
    if (error)
        return error;
    struct index_call call;
    index_ask(&call, index);
    progress_begin(&progress, ask, user, 0);
    progress.independent = true;
    error = guard_enter_both(&call.turn, __func__, model->guard, index->guard);
    if (!error)
        error = guard_leave(&call.turn, import_rclip(index, model, database, &done));
    error = progress_end(&call.progress, progress_end(&progress, error));
    GROWTH_WRITE(vkclip_import_result, result, &done);
    return error;
}
