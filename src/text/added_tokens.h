/* SPDX-License-Identifier: MIT
 *
 * Finds the added tokens of a tokenizer.json in a text: texts that are one token wherever they
 * occur, the longest first.
 */
#ifndef VKCLIP_TEXT_ADDED_TOKENS_H
#define VKCLIP_TEXT_ADDED_TOKENS_H

#include "text/code_points.h"
#include "text/token_ids.h"
#include "text/trie.h"

struct added_token {
    int32_t id;
    bool normalized;                /* It is searched for in the normalised text. */
    bool strips_left, strips_right; /* It takes the white space beside it. */
    bool special;                   /* It is no text, and decoding may leave it out. */
};

/* Bytes of an added token at most, because added tokens are compared at every place of a text. */
enum { ADDED_TOKEN_SIZE = 256 };

struct added_tokens {
    const struct added_token *list; /* belongs to the caller */
    struct trie tries[2];           /* by `normalized`; the values are places in the list */
};

/* Appends the text of a token in the form in which it is searched for. */
typedef void added_text_fn(const void *user, const struct added_token *token,
                           struct code_points *text);

/* Prepares the search. Returns false when out of memory; the tokens must be closed all the same. */
bool added_tokens_open(struct added_tokens *tokens, const struct added_token *list, size_t count,
                       added_text_fn *text, const void *user);
void added_tokens_close(struct added_tokens *tokens);

struct added_match {
    size_t start, end; /* `start` code points of text come before the token */
    int32_t id;        /* -1: there is no token, and start = end = the text's length */
};
/* Finds the first of those tokens that are searched for in `normalized` text or in the original. */
struct added_match added_tokens_find(const struct added_tokens *tokens, bool normalized,
                                     const int32_t *codes, size_t length);

/* Walks through a text: added tokens become their ids, and the parts between them are normalised
 * and handed on. */
struct added_walk {
    const struct added_tokens *tokens;
    struct token_ids *ids;
    void (*normalize)(const void *tokenizer, struct code_points *text);
    /* Appends the ids of normalised text. `first` says whether it begins where the whole text does.
     */
    void (*encode)(struct added_walk *walk, const int32_t *codes, size_t length, bool first);
    const void *tokenizer;
    void *job;
    bool failed; /* out of memory */
};
void added_tokens_walk(struct added_walk *walk, const int32_t *codes, size_t length);

#endif
