/* SPDX-License-Identifier: MIT
 *
 * Stands for the index of pictures, in a build without it.
 */
#include "base/absent.h"
#include "base/error.h"

ABSENT_ARGUMENTS

static int search_absent(const char *function)
{
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "%s: this build of vkclip leaves picture search out (VKCLIP_WITH_SEARCH)",
                      function);
}

bool vkclip_has_search(void)
{
    return false;
}

bool vkclip_has_postgresql(void)
{
    return false;
}

int vkclip_open_index(const struct vkclip_index_params *params, struct vkclip_index **index)
{
    if (index)
        *index = NULL;
    return search_absent(__func__);
}

void vkclip_close_index(struct vkclip_index **index)
{
}

int vkclip_get_index_info(struct vkclip_index *index, struct vkclip_index_info *info)
{
    return search_absent(__func__);
}

int vkclip_list_index_models(struct vkclip_index *index, struct vkclip_index_model *models,
                             size_t capacity, size_t *count)
{
    return search_absent(__func__);
}

int vkclip_list_index_folders(struct vkclip_index *index, vkclip_folder_fn *folder, void *user)
{
    return search_absent(__func__);
}

int vkclip_list_index_failures(struct vkclip_index *index, vkclip_failure_fn *failure, void *user)
{
    return search_absent(__func__);
}

int vkclip_index_paths(struct vkclip_index *index, struct vkclip_model *model,
                       const char *const *paths, size_t count,
                       const struct vkclip_update_params *params,
                       struct vkclip_update_result *result)
{
    return search_absent(__func__);
}

int vkclip_watch_index(struct vkclip_index *index, double seconds, bool *changed)
{
    return search_absent(__func__);
}

int vkclip_remove_indexed(struct vkclip_index *index, const char *const *paths, size_t count,
                          uint64_t *removed)
{
    return search_absent(__func__);
}

int vkclip_prune_index(struct vkclip_index *index, uint64_t *removed)
{
    return search_absent(__func__);
}

int vkclip_add_hnsw_index(struct vkclip_index *index)
{
    return search_absent(__func__);
}

int vkclip_export_index(struct vkclip_index *index, const struct vkclip_model *model,
                        const char *folder, uint64_t *exported)
{
    return search_absent(__func__);
}

int vkclip_import_rclip(struct vkclip_index *index, struct vkclip_model *model,
                        const char *database, vkclip_progress_fn *progress, void *user,
                        struct vkclip_import_result *result)
{
    return search_absent(__func__);
}

int vkclip_search(struct vkclip_index *index, struct vkclip_model *model,
                  const struct vkclip_search_params *params, vkclip_hit_fn *hit, void *user)
{
    return search_absent(__func__);
}

int vkclip_upload_index(struct vkclip_index *index, struct vkclip_model *model)
{
    return search_absent(__func__);
}

int vkclip_list_indexed(struct vkclip_index *index, const struct vkclip_model *model,
                        const struct vkclip_search_params *params, vkclip_indexed_fn *fn,
                        void *user)
{
    return search_absent(__func__);
}

int vkclip_load_thumbnail(struct vkclip_index *index, int64_t id, struct vkclip_image *image)
{
    return search_absent(__func__);
}

int vkclip_read_thumbnail(struct vkclip_index *index, int64_t id, vkclip_bytes_fn *bytes,
                          void *user)
{
    return search_absent(__func__);
}

int vkclip_read_embedding(struct vkclip_index *index, const struct vkclip_model *model, int64_t id,
                          float *embed)
{
    return search_absent(__func__);
}

int vkclip_find_indexed(struct vkclip_index *index, int64_t id, vkclip_hit_fn *hit, void *user)
{
    return search_absent(__func__);
}

int vkclip_open_indexed(struct vkclip_index *index, int64_t id, int *file, uint64_t *size)
{
    return search_absent(__func__);
}

int vkclip_find_duplicates(struct vkclip_index *index, struct vkclip_device *device,
                           const struct vkclip_duplicates_params *params, vkclip_group_fn *group,
                           void *user)
{
    return search_absent(__func__);
}

int vkclip_forget_duplicates(struct vkclip_index *index, const char *a, const char *b)
{
    return search_absent(__func__);
}
