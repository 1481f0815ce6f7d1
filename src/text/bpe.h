/* SPDX-License-Identifier: MIT
 *
 * Learns the merges of a byte-pair vocabulary (Sennrich et al. 2016) of CLIP's form from texts. The
 * tokenizer cleans and splits them, so that a vocabulary is learnt from what it will be used on.
 *
 * The most frequent pair is merged next; of equally frequent ones the last by the code points of
 * its left token, then of its right one, as they stand in vocab.json: the result depends on
 * nothing but the texts, not on their order.
 */
#ifndef VKCLIP_TEXT_BPE_H
#define VKCLIP_TEXT_BPE_H

#include "text/vocabulary.h"

struct bpe;

int bpe_open(struct bpe **bpe);
void bpe_close(struct bpe **bpe);

int bpe_add_text(struct bpe *bpe, const char *text, size_t length);
/* Different words so far, and those left out for being longer than any word is. */
size_t bpe_words(const struct bpe *bpe);
size_t bpe_long_words(const struct bpe *bpe);

/* The vocabulary of the 256 bytes, the 256 bytes at a word's end, merges, and start and end of
 * text: `size` tokens, or fewer where no pair is left that occurs `least` times. Once. */
int bpe_learn(struct bpe *bpe, uint32_t size, uint64_t least, struct vocabulary *vocabulary);

#endif
