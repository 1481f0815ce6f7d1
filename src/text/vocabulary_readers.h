/* SPDX-License-Identifier: MIT
 *
 * This header has the readers of text files with a vocabulary. Each reader fills an empty
 * vocabulary. On an error the caller closes the vocabulary.
 */
#ifndef VKCLIP_TEXT_VOCABULARY_READERS_H
#define VKCLIP_TEXT_VOCABULARY_READERS_H

#include "text/vocabulary.h"

#include <jansson.h>

/* Makes the vocabulary of the first `limit` lines of a list of merges by OpenAI's rule. */
int vocabulary_load_openai(struct vocabulary *vocabulary, const char *path, const char *data,
                           size_t size, uint32_t limit);
/* Reads Hugging Face's tokenizer.json, which is parsed already. */
int vocabulary_load_tokenizer_json(struct vocabulary *vocabulary, const char *path,
                                   const json_t *root);
/* Reads Hugging Face's vocab.json, which is parsed already, and merges.txt. */
int vocabulary_load_pair(struct vocabulary *vocabulary, const char *vocab_path, json_t *vocab,
                         const char *merges_path);

/* Reads merges.txt as the list that tokenizer.json has, and added_tokens.json beside vocab.json as
 * the list of added tokens, which is empty where there is no such file. Both are new lists, also
 * after an error, or NULL. */
int vocabulary_read_pair(const char *vocab_path, const char *merges_path, json_t **merges,
                         json_t **added);

/* ---- Parts of a tokenizer.json --------------------------------------------------------------- */

/* Makes the tables of `vocab`, an object of ids by text, and of the added tokens, and fills all but
 * the merges, for which there is room. */
int vocabulary_load_tokens(struct vocabulary *vocabulary, const char *path, json_t *vocab,
                           const json_t *added, size_t merges);
/* Fills the table of merges. */
int vocabulary_load_merges(struct vocabulary *vocabulary, const char *path, const json_t *merges);

#endif
