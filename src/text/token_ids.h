/* SPDX-License-Identifier: MIT
 *
 * Receives the ids of a text.
 */
#ifndef VKCLIP_TEXT_TOKEN_IDS_H
#define VKCLIP_TEXT_TOKEN_IDS_H

#include "vkclip.h"

/* `count` keeps counting when the array is full. */
struct token_ids {
    int32_t *ids; /* [capacity] */
    size_t capacity, count;
    int32_t last; /* the last id, also if the array is full */
};

static inline void token_ids_push(struct token_ids *list, int32_t id)
{
    if (list->count < list->capacity)
        list->ids[list->count] = id;
    list->last = id;
    list->count++;
}

#endif
