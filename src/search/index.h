/* SPDX-License-Identifier: MIT
 *
 * Defines the public handle of an index: a store, and where its files lie. Does not know how
 * pictures are decoded or encoded.
 */
#ifndef VKCLIP_SEARCH_INDEX_H
#define VKCLIP_SEARCH_INDEX_H

#include "search/store.h"

struct vkclip_index {
    struct store *store;
    char *path; /* as named */
    bool read_only;
    char *cache_folder; /* the user's; NULL: nothing is kept */
};

/* Opens the index that the parameters or the environment name. `params` may be NULL. */
int index_open(const struct vkclip_index_params *params, struct vkclip_index **index);
void index_close(struct vkclip_index **index);
int index_list_models(struct vkclip_index *index, struct vkclip_index_model *models,
                      size_t capacity, size_t *count);

/* Fails with EINVALID where the index was opened for reading only. */
int index_check_writable(const struct vkclip_index *index);

#endif
