/* SPDX-License-Identifier: MIT
 *
 * Turns a prompt into items in the order of its text: tokens, and textual inversions that its text
 * names. Where they lie in an encoder's input is not known here.
 */
#ifndef VKCLIP_TEXT_PROMPT_ITEMS_H
#define VKCLIP_TEXT_PROMPT_ITEMS_H

#include "text/prompt.h"

enum { ITEM_BREAK = -1, ITEM_EMBEDDING = -2 };

struct prompt_item {
    int32_t id;        /* a token, ITEM_BREAK or ITEM_EMBEDDING */
    int32_t embedding; /* index in the form's list, or -1 */
    uint32_t places;   /* that it takes: the number of vectors, 1 for a token, 0 for a break */
    uint32_t group;    /* ComfyUI keeps a group of few items in one chunk */
    double weight;
};

struct prompt_ids {
    int32_t *list; /* [count] */
    size_t count, capacity;
};

struct prompt_items {
    const struct prompt_form *form;
    struct prompt_item *list; /* [count] */
    size_t count, capacity;
    uint32_t groups;
    struct prompt_ids ids;    /* of the text that was encoded last */
    struct prompt_ids *names; /* [embedding_count] of the embeddings' names, for the webui */
};

int prompt_items_make(const char *text, size_t length, enum vkclip_syntax syntax,
                      const struct prompt_form *form, struct prompt_items *items);
void prompt_items_free(struct prompt_items *items);
/* Encodes a text without start and end of text. */
int prompt_ids_encode(const struct prompt_form *form, const char *text, size_t length,
                      struct prompt_ids *ids);

#endif
