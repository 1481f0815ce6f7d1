/* SPDX-License-Identifier: MIT
 *
 * One search: filters choose among the vectors, the scan ranks them, limits cut them off, and the
 * store says what is known of those that are left.
 */
#ifndef VKCLIP_SEARCH_SEARCH_H
#define VKCLIP_SEARCH_SEARCH_H

#include "search/current.h"

struct search {
    struct current *current; /* the vectors of the model, and their store */
    const struct vkclip_search_params *params;
    const float *query;      /* [dim] of unit length */
    const int64_t *left_out; /* pictures of the query, which are no results */
    size_t left_out_count;
};

/* Gives the pictures that are found, in order, to `hit`. A nonzero number that it returns ends the
 * search with EINVALID. */
int search_run(const struct search *search, vkclip_hit_fn *hit, void *user);

/* Lists the files of pictures that have a vector and pass the filters of `params`, in the order of
 * ids; `params` may be NULL. */
int search_list(const struct current *current, const struct vkclip_search_params *params,
                vkclip_indexed_fn *fn, void *user);

#endif
