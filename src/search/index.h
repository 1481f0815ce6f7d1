/* SPDX-License-Identifier: MIT
 *
 * Defines the public handle of an index: a store, and where its files lie. Does not know how
 * pictures are decoded or encoded.
 */
#ifndef VKCLIP_SEARCH_INDEX_H
#define VKCLIP_SEARCH_INDEX_H

#include "search/current.h"

struct guard;

struct vkclip_index {
    struct store *store;
    char *path;       /* as named, without a password */
    char *files_path; /* where files of vectors lie: the beginning of their names, or NULL */
    bool read_only;
    char *cache_folder;  /* the user's; NULL: nothing is kept */
    struct watch *watch; /* NULL until index_watch was called */
    struct current current;
    struct workers *workers;      /* for searches */
    struct guard *guard;          /* see api/guard.h */
    vkclip_progress_fn *progress; /* the program's, for all calls on the handle; NULL: none */
    void *user;                   /* its first argument */
};

/* Opens the index that the parameters or the environment name. `params` may be NULL. */
int index_open(const struct vkclip_index_params *params, struct vkclip_index **index);
void index_close(struct vkclip_index **index);
int index_list_models(struct vkclip_index *index, struct vkclip_index_model *models,
                      size_t capacity, size_t *count);

int index_remove(struct vkclip_index *index, const char *const *paths, size_t count,
                 uint64_t *removed);
int index_prune(struct vkclip_index *index, uint64_t *removed);
/* Adds HNSW indexes: see vkclip_add_hnsw_index. */
int index_add_hnsw(struct vkclip_index *index);
/* Waits for changes below the folders of the index: see vkclip_watch_index. */
int index_watch(struct vkclip_index *index, double seconds, bool *changed);

/* Fails with EINVALID where the index was opened for reading only. */
int index_check_writable(const struct vkclip_index *index);

#endif
