/* SPDX-License-Identifier: MIT
 *
 * Does CLIP's byte-pair encoding: text to ids and back. The rules are those of OpenAI's
 * clip/simple_tokenizer.py, and those of the `tokenizers` library for a tokenizer.json of CLIP's
 * form. Other types of tokenizers are refused.
 */
#ifndef VKCLIP_TEXT_TOKENIZER_H
#define VKCLIP_TEXT_TOKENIZER_H

#include "vkclip.h"

struct tokenizer;

enum tokenizer_rules {
    TOKENIZER_BY_FILE, /* OpenAI's for its list of merges and GGUF, Hugging Face's for other files
                        */
    TOKENIZER_OPENAI,  /* ftfy's plain steps, HTML unescaping, full lower case; the pad id is 0 */
    TOKENIZER_HF       /* what tokenizer.json says; the pad id is what tokenizer_config.json says */
};

/* Opens a vocabulary: tokenizer.json; vocab.json or merges.txt, each of which needs the other in
 * the same folder; bpe_simple_vocab_16e6.txt.gz, also unpacked and with any number of merges; or a
 * GGUF file with tokens. */
int tokenizer_open(const char *path, enum tokenizer_rules rules, struct tokenizer **tokenizer);
void tokenizer_close(struct tokenizer **tokenizer);

/* Encodes a text to ids, start and end of text included. *count is the number of all ids, of which
 * the first `capacity` are written. The only errors are EMEMORY, and EINVALID for a text of 256 MiB
 * or more. May be called from several threads at once. */
int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length,
                     int32_t *ids, size_t capacity, size_t *count);

/* Decodes ids to UTF-8, a new string, as the reference does: the tokens' bytes are joined, invalid
 * UTF-8 becomes U+FFFD, and "</w>" a space. Fails with EINVALID if an id is outside the
 * vocabulary. */
int tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                     char **text);

/* Receives one word of a text, as code points, to learn a vocabulary from. tokenizer_split gives
 * all words of a text, cleaned and split by Hugging Face's rules. Nothing in the text counts as a
 * start or end of text. The errors are those of tokenizer_encode. */
typedef void tokenizer_word_fn(void *user, const int32_t *word, size_t length);
int tokenizer_split(const char *text, size_t length, tokenizer_word_fn *word, void *user);

/* These functions return the ids of the special tokens. */
int32_t tokenizer_start(const struct tokenizer *tokenizer);
int32_t tokenizer_end(const struct tokenizer *tokenizer);
int32_t tokenizer_pad(const struct tokenizer *tokenizer);
uint32_t tokenizer_size(const struct tokenizer *tokenizer); /* entries of the vocabulary */

#endif
