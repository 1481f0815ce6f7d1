/* SPDX-License-Identifier: MIT
 *
 * One search: filters choose among the vectors, the scan ranks them, limits cut them off, and the
 * store says what is known of those that are left. Vectors and pictures are read in one
 * transaction: if another process wrote in between, a vector could be given another picture,
 * because ids that became free are used again.
 */
#ifndef VKCLIP_SEARCH_SEARCH_H
#define VKCLIP_SEARCH_SEARCH_H

#include "search/current.h"

struct search {
    struct current *current; /* the vectors, and their store */
    const char *identity;    /* of the model */
    int64_t model;           /* its number in the store */
    size_t dim;
    const struct vkclip_search_params *params;
    const float *query;      /* [dim] of unit length */
    const int64_t *left_out; /* pictures of the query, which are no results */
    size_t left_out_count;
};

/* Describes a file as programs see it. Its score is 0. */
struct vkclip_hit search_describe(const struct store_picture *picture);

/* Gives the pictures that are found, in order, to `hit`, which may use the store. A nonzero number
 * that it returns ends the search with EINVALID. */
int search_run(const struct search *search, vkclip_hit_fn *hit, void *user);

/* Lists the files of pictures that have a vector and pass the filters of `params`, which may be
 * NULL, in the order of ids. The function must not use the store. */
int search_list(const struct search *search, vkclip_indexed_fn *fn, void *user);

#endif
