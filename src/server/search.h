/* SPDX-License-Identifier: MIT
 *
 * Searches the index for a request.
 */
#ifndef VKCLIP_SERVER_SEARCH_H
#define VKCLIP_SERVER_SEARCH_H

#include "server/encode.h"
#include "server/request.h"
#include "server/results.h"

/* A part of a query with its weight. */
struct search_part {
    double weight;
    int64_t id;         /* 0: the item is encoded */
    const float *embed; /* not NULL: the embedding itself */
    struct encode_item item;
};

/* Finds the embeddings of all parts and searches. Without parts, all pictures are listed, the
 * newest first, however many. `params` has the filters and limits; its parts and progress are set
 * here. */
int search_find(struct request *request, struct search_part *parts, size_t count,
                struct vkclip_search_params *params, struct result_list *list);

#endif
