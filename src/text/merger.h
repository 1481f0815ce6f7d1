/* SPDX-License-Identifier: MIT
 *
 * Merges the tokens of a word by the merges of a byte-pair vocabulary, in a time that grows with
 * n log n, so that a word may be a whole text.
 */
#ifndef VKCLIP_TEXT_MERGER_H
#define VKCLIP_TEXT_MERGER_H

#include "text/token_ids.h"
#include "text/vocabulary.h"

/* A struct with only the first two members set is ready for use. */
struct merger {
    const struct vocabulary *vocabulary;
    struct token_ids *ids;
    struct merger_piece *pieces; /* [room] the pieces of the current word */
    uint64_t *queue; /* [2 * room] heap of rank << 32 | place of the left piece, smallest first */
    size_t queued, room;
    uint32_t count; /* pieces of the current word */
    bool failed;    /* out of memory */
};

/* Begins a word of at most `pieces` tokens. Returns false when out of memory. */
bool merger_begin(struct merger *merger, size_t pieces);
/* Appends a token to the word. */
void merger_push(struct merger *merger, int32_t id);
/* Merges the word and appends its ids. */
void merger_end(struct merger *merger);
void merger_free(struct merger *merger);

#endif
