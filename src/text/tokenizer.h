/* SPDX-License-Identifier: MIT
 *
 * Turns text to ids and back. The file with the vocabulary says by which kind of tokenizer: CLIP's
 * byte-pair encoding by the rules of OpenAI's clip/simple_tokenizer.py, or by those of the
 * `tokenizers` library for a tokenizer.json of CLIP's form; or SentencePiece's unigram model, which
 * T5, SigLIP and XLM-R have, by the rules of SentencePiece for its own files and by those of
 * `tokenizers` for a tokenizer.json; or Gemma's byte-pair encoding, which SigLIP 2 has; or BERT's
 * WordPiece; or GPT-2's byte-pair encoding, which RoBERTa has. Other types of tokenizers are
 * refused.
 */
#ifndef VKCLIP_TEXT_TOKENIZER_H
#define VKCLIP_TEXT_TOKENIZER_H

#include "text/tokenizer_rules.h"
#include "vkclip.h"

struct tokenizer;
struct file_source;
struct gguf;

/* Opens a vocabulary: tokenizer.json; SentencePiece's spiece.model or sentencepiece.bpe.model;
 * BERT's vocab.txt; vocab.json or merges.txt, each of which needs the other in the same folder;
 * bpe_simple_vocab_16e6.txt.gz, also unpacked and with any number of merges; a GGUF file with
 * tokens; or a safetensors file with the tensor `spiece_model`. */
int tokenizer_open(const char *path, enum tokenizer_rules rules, struct tokenizer **tokenizer);
/* Opens the vocabulary in a file that may have no path, as models have it: in GGUF's tokens, or in
 * the tensor `spiece_model`. */
int tokenizer_open_source(const struct file_source *file, enum tokenizer_rules rules,
                          struct tokenizer **tokenizer);
/* Opens a spiece.model or tokenizer.json in memory, and the vocabulary in an open GGUF file, none
 * of which is needed afterwards. Messages call the file `name`. */
int tokenizer_parse(const void *data, size_t size, const char *name, struct tokenizer **tokenizer);
int tokenizer_from_gguf(const struct gguf *file, struct tokenizer **tokenizer);
void tokenizer_close(struct tokenizer **tokenizer);

/* Lets an open tokenizer clean texts first, and with `strip_end` put 0 in place of every end of
 * text, as OpenCLIP's HFTokenizer does with strip_sep_token. */
void tokenizer_clean(struct tokenizer *tokenizer, enum tokenizer_cleaning cleaning, bool strip_end);

/* Encodes a text to ids, including the start of text, where the tokenizer has one, and the end.
 * *count is the number of all ids, of which the first `capacity` are written. The only errors are
 * EMEMORY, and EINVALID for a text of 256 MiB or more. May be called from several threads at once.
 */
int tokenizer_encode(const struct tokenizer *tokenizer, const char *text, size_t length,
                     int32_t *ids, size_t capacity, size_t *count);

/* Fills all `capacity` ids of a model's input: a longer text is cut and keeps its end, and padding
 * follows a shorter one. *count is as in tokenizer_encode. */
int tokenizer_fill(const struct tokenizer *tokenizer, const char *text, int32_t *ids,
                   size_t capacity, size_t *count);

/* Decodes ids to UTF-8, a new string, as the reference does. CLIP: the tokens' bytes are joined,
 * invalid UTF-8 becomes U+FFFD, and "</w>" a space. Unigram: control pieces are left out, "▁"
 * becomes a space except before the first word, and an unknown piece is " ⁇ ". Fails with EINVALID
 * if an id is outside the vocabulary. */
int tokenizer_decode(const struct tokenizer *tokenizer, const int32_t *ids, size_t count,
                     char **text);

/* These functions return the ids of the special tokens. Where texts begin without a token, the
 * start is -1. */
int32_t tokenizer_start(const struct tokenizer *tokenizer);
int32_t tokenizer_end(const struct tokenizer *tokenizer);
int32_t tokenizer_pad(const struct tokenizer *tokenizer);
uint32_t tokenizer_size(const struct tokenizer *tokenizer); /* entries of the vocabulary */
/* Returns the number of ids that models with this kind of tokenizer take: 77 for CLIP's, and 0 for
 * kinds whose models take texts of any length. */
uint32_t tokenizer_context(const struct tokenizer *tokenizer);

#endif
