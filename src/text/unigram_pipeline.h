/* SPDX-License-Identifier: MIT
 *
 * The steps by which Hugging Face's `tokenizers` makes words of a text for a unigram model:
 * normalisers in their order, then the splits of pre-tokenizers.
 */
#ifndef VKCLIP_TEXT_UNIGRAM_PIPELINE_H
#define VKCLIP_TEXT_UNIGRAM_PIPELINE_H

#include "text/added_tokens.h"
#include "text/normalizer.h"
#include "text/unigram.h"

/* Says which words get U+2581 before them. */
enum unigram_prefix { UNIGRAM_PREFIX_ALWAYS, UNIGRAM_PREFIX_FIRST, UNIGRAM_PREFIX_NEVER };

/* The steps of a tokenizer. */
struct unigram_pipeline {
    struct normalizer normalizer;
    bool splits_space;   /* White space separates words and is dropped. */
    bool splits_cleaned; /* This is so for texts that OpenCLIP has cleaned. */
    bool splits_prefix;  /* A word begins at each U+2581. */
    enum unigram_prefix prefix;
};

#endif
