/* SPDX-License-Identifier: MIT
 *
 * The steps by which Hugging Face's `tokenizers` makes words of a text for a unigram model:
 * normalisers in their order, then the splits of pre-tokenizers.
 */
#ifndef VKCLIP_TEXT_UNIGRAM_PIPELINE_H
#define VKCLIP_TEXT_UNIGRAM_PIPELINE_H

#include "text/added_tokens.h"
#include "text/unigram.h"

/* A step appends the normalised `text` to `out`. */
struct unigram_step {
    void (*apply)(const struct unigram *unigram, const struct unigram_step *step,
                  const struct code_points *text, struct code_points *out);
    bool left, right;           /* the sides that unigram_step_strip strips */
    struct code_points content; /* what unigram_step_spaces puts in place of two or more spaces */
};
typedef void unigram_step_fn(const struct unigram *unigram, const struct unigram_step *step,
                             const struct code_points *text, struct code_points *out);

unigram_step_fn unigram_step_charsmap, unigram_step_strip, unigram_step_spaces;

/* Says which words get U+2581 before them. */
enum unigram_prefix { UNIGRAM_PREFIX_ALWAYS, UNIGRAM_PREFIX_FIRST, UNIGRAM_PREFIX_NEVER };

/* The steps of a tokenizer. unigram_normalize does the normalisers among them. */
struct unigram_pipeline {
    struct unigram_step *steps; /* [step_count] */
    size_t step_count;
    struct added_token *list; /* [added_count] */
    size_t added_count;
    struct added_tokens added;
    bool splits_space;  /* White space separates words and is dropped. */
    bool splits_prefix; /* A word begins at each U+2581. */
    enum unigram_prefix prefix;
};

void unigram_normalize(const struct unigram *unigram, struct code_points *text);

#endif
