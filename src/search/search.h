/* SPDX-License-Identifier: MIT
 *
 * One search: filters choose among the vectors, the scan ranks them, limits cut them off, and the
 * store says what is known of those that are left.
 */
#ifndef VKCLIP_SEARCH_SEARCH_H
#define VKCLIP_SEARCH_SEARCH_H

#include "search/scan.h"
#include "search/store.h"

struct search {
    struct store *store;
    const struct vectors *vectors; /* of the model */
    struct workers *workers;
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
int search_list(struct store *store, const struct vectors *vectors,
                const struct vkclip_search_params *params, vkclip_indexed_fn *fn, void *user);

#endif
