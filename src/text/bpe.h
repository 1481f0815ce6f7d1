/* SPDX-License-Identifier: MIT
 *
 * Learns the merges of a byte-pair vocabulary (Sennrich et al. 2016) of CLIP's form from texts. The
 * tokenizer cleans and splits the texts, so that the vocabulary is learnt from the same words that
 * it will encode.
 *
 * The most frequent pair is merged next. Of equally frequent pairs, the one that sorts last is
 * merged, by the code points that its left token and then its right token have in vocab.json, so
 * that the result does not depend on the order of the texts.
 */
#ifndef VKCLIP_TEXT_BPE_H
#define VKCLIP_TEXT_BPE_H

#include "text/vocabulary.h"

struct bpe;

int bpe_open(struct bpe **bpe);
void bpe_close(struct bpe **bpe);

int bpe_add_text(struct bpe *bpe, const char *text, size_t length);
/* Returns the number of different words so far. */
size_t bpe_words(const struct bpe *bpe);
/* Returns the number of words that were left out because they are longer than 1024 code points. */
size_t bpe_long_words(const struct bpe *bpe);

/* Learns a vocabulary of `size` tokens, or of fewer when no pair is left that occurs `least` times.
 * Its tokens are the 256 bytes, the 256 bytes at a word's end, merges, and start and end of text.
 * May be called only once. */
int bpe_learn(struct bpe *bpe, uint32_t size, uint64_t least, struct vocabulary *vocabulary);

#endif
