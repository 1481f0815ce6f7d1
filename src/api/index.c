/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of an index.
 */
#include "search/index.h"

int vkclip_open_index(const struct vkclip_index_params *params, struct vkclip_index **index)
{
    if (!index)
        return error_fail(VKCLIP_EINVALID, "vkclip_open_index: index expected");
    return index_open(params, index);
}

void vkclip_close_index(struct vkclip_index **index)
{
    if (index)
        index_close(index);
}

int vkclip_get_index_info(struct vkclip_index *index, struct vkclip_index_info *info)
{
    if (!index || !info)
        return error_fail(VKCLIP_EINVALID, "vkclip_get_index_info: index and info expected");
    return index->store->read->count(index->store, info);
}

int vkclip_list_index_models(struct vkclip_index *index, struct vkclip_index_model *models,
                             size_t capacity, size_t *count)
{
    if (!index || !count || (!models && capacity))
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_list_index_models: index, models and count expected");
    return index_list_models(index, models, capacity, count);
}

int vkclip_list_index_failures(struct vkclip_index *index, vkclip_failure_fn *failure, void *user)
{
    if (!index || !failure)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_list_index_failures: index and failure expected");
    return index->store->read->each_failure(index->store, failure, user);
}
