/* SPDX-License-Identifier: MIT
 *
 * Finds the duplicates among the pictures of an index: files with the same content, the same
 * picture in other sizes and formats, and pictures that are near (duplicates.h). Pairs that the
 * user called different are remembered in the index.
 */
#ifndef VKCLIP_SEARCH_GROUPS_H
#define VKCLIP_SEARCH_GROUPS_H

#include "search/index.h"

struct gpu;
struct tuner;

/* What vkclip_find_duplicates was asked. */
struct groups_request {
    struct current *current;         /* of the index */
    const struct store_model *model; /* whose vectors are compared; NULL: only files with the same
                                      * content are found */
    struct gpu *gpu;
    struct tuner *tuner;
    double distance;
    vkclip_share_fn *progress;
    vkclip_group_fn *group;
    void *user;
};

int groups_find(const struct groups_request *request);

/* Remembers that two pictures are no duplicates. Each is a path of an indexed file or "id:N". */
int groups_forget(struct vkclip_index *index, const char *a, const char *b);

#endif
