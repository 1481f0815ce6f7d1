/* SPDX-License-Identifier: MIT
 *
 * What every kind of tokenizer has: a row of functions. tokenizer.c has the list of the kinds, and
 * nothing else tells them apart.
 */
#ifndef VKCLIP_TEXT_TOKENIZER_KIND_H
#define VKCLIP_TEXT_TOKENIZER_KIND_H

#include "text/code_points.h"
#include "text/token_ids.h"
#include "text/tokenizer_rules.h"
#include "text/vocabulary_source.h"

struct tokenizer;

struct tokenizer_kind {
    uint32_t context; /* ids of a text for which models with such tokenizers are made; 0: any */
    /* Tells whether the file is of this kind. */
    bool (*recognizes)(const struct vocabulary_source *source);
    /* Opens the tokenizer, and sets all members of struct tokenizer but `kind`. */
    int (*open)(const struct vocabulary_source *source, enum tokenizer_rules rules,
                struct tokenizer **tokenizer);
    /* Appends the ids of a text without its start and end, and may change the text. Returns false
     * when out of memory. */
    bool (*encode)(const struct tokenizer *tokenizer, struct code_points *text,
                   struct token_ids *ids);
    /* Decodes ids, all of which are in the vocabulary. Returns NULL when out of memory. */
    char *(*decode)(const struct tokenizer *tokenizer, const int32_t *ids, size_t count);
    void (*close)(struct tokenizer *tokenizer);
};

/* Comes first in the struct of every kind. */
struct tokenizer {
    const struct tokenizer_kind *kind;
    int32_t start, end, pad; /* ids; start is -1 where texts begin without one */
    uint32_t size;           /* one more than the largest id */
    enum tokenizer_cleaning cleaning;
    int32_t stripped; /* an id that becomes 0, as OpenCLIP's strip_sep_token does */
};

extern const struct tokenizer_kind tokenizer_clip_bpe, tokenizer_unigram,
    tokenizer_sentencepiece_bpe, tokenizer_wordpiece, tokenizer_byte_bpe;

#endif
