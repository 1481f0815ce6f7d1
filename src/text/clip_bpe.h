/* SPDX-License-Identifier: MIT
 *
 * Splits texts into the words of CLIP's byte-pair encoding, for learning a vocabulary. Encoding
 * goes through text/tokenizer.h, as for every kind of tokenizer.
 */
#ifndef VKCLIP_TEXT_CLIP_BPE_H
#define VKCLIP_TEXT_CLIP_BPE_H

#include "vkclip.h"

/* Receives one word of a text, as code points. clip_bpe_split gives all words of a text, cleaned
 * and split by Hugging Face's rules. Nothing in the text counts as a start or end of text. The only
 * error is EMEMORY. */
typedef void clip_bpe_word_fn(void *user, const int32_t *word, size_t length);
int clip_bpe_split(const char *text, size_t length, clip_bpe_word_fn *word, void *user);

#endif
