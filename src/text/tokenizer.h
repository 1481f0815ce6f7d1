/* SPDX-License-Identifier: MIT
 *
 * CLIP's byte-pair encoding: text to ids and back. Source: OpenAI's clip/simple_tokenizer.py, and
 * the `tokenizers` library for Hugging Face's tokenizer.json of that form. Other tokenizer types
 * are refused.
 */
#ifndef VKCLIP_TEXT_TOKENIZER_H
#define VKCLIP_TEXT_TOKENIZER_H

#include "vkclip.h"

struct tokenizer;

enum tokenizer_rules {
    TOKENIZER_BY_FILE, /* OpenAI's list of merges and GGUF follow OpenAI's rules, other files
                        * Hugging Face's
                        */
    TOKENIZER_OPENAI,  /* ftfy's plain steps, HTML unescaping, full lower case; padded with 0 */
    TOKENIZER_HF       /* as tokenizer.json says; padded as tokenizer_config.json says */
};

/* Vocabulary file: tokenizer.json; vocab.json or merges.txt (each needs the other beside it); or
 * bpe_simple_vocab_16e6.txt.gz (also unpacked; any number of merges); or a GGUF file with tokens.
 */
int tokenizer_open(const char *path, enum tokenizer_rules rules, struct tokenizer **tokenizer);
void tokenizer_close(struct tokenizer **tokenizer);

/* Ids with start and end of text. *count is the number of all of them; the first `capacity` are
 * written. Only errors: out of memory, and EINVALID for a text of 256 MiB. May be called from
 * several threads. */
int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length,
                     int32_t *ids, size_t capacity, size_t *count);

/* UTF-8 of ids, a new string (the reference's decode: bytes joined, invalid UTF-8 to U+FFFD, "</w>"
 * to a space). Ids outside the vocabulary: EINVALID. */
int tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                     char **text);

/* The words that a text is merged in, as code points: cleaned and split by Hugging Face's rules,
 * for learning a vocabulary. Nothing in the text is taken for a start or end of text. Errors as
 * tokenizer_encode. */
typedef void tokenizer_word_fn(void *user, const int32_t *word, size_t length);
int tokenizer_split(const char *text, size_t length, tokenizer_word_fn *word, void *user);

int32_t tokenizer_start(const struct tokenizer *tokenizer);
int32_t tokenizer_end(const struct tokenizer *tokenizer);
int32_t tokenizer_pad(const struct tokenizer *tokenizer);
uint32_t tokenizer_size(const struct tokenizer *tokenizer); /* entries of the vocabulary */

#endif
