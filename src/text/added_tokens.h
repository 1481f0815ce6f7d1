/* SPDX-License-Identifier: MIT
 *
 * Finds the added tokens of a tokenizer.json in a text: texts that are one token wherever they
 * occur, the longest first.
 */
#ifndef VKCLIP_TEXT_ADDED_TOKENS_H
#define VKCLIP_TEXT_ADDED_TOKENS_H

#include "text/code_points.h"
#include "text/trie.h"

struct added_token {
    int32_t id;
    bool normalized;                /* It is searched for in the normalised text. */
    bool strips_left, strips_right; /* It takes the white space beside it. */
};

struct added_tokens {
    const struct added_token *list; /* belongs to the caller */
    struct trie trie;               /* the values are places in the list */
};

/* Prepares the search for those tokens of the list that are `normalized` or not. `texts` [count]
 * has the text of each token in the form in which it is searched for. Returns false when out of
 * memory. */
bool added_tokens_open(struct added_tokens *tokens, const struct added_token *list,
                       const struct code_points *texts, size_t count, bool normalized);
void added_tokens_close(struct added_tokens *tokens);

struct added_match {
    size_t start, end; /* `start` code points of text come before the token */
    int32_t id;        /* -1: there is no token, and start = end = the text's length */
};
struct added_match added_tokens_find(const struct added_tokens *tokens, const int32_t *codes,
                                     size_t length);

#endif
