/* SPDX-License-Identifier: MIT
 *
 * The readers of text files with a vocabulary. Each fills empty tables; on an error the caller
 * closes the vocabulary.
 */
#ifndef VKCLIP_TEXT_VOCABULARY_READERS_H
#define VKCLIP_TEXT_VOCABULARY_READERS_H

#include "text/vocabulary.h"

#include <jansson.h>

/* The vocabulary that OpenAI's rule makes of the first `limit` lines of a list of merges. */
int vocabulary_load_openai(struct vocabulary *vocabulary, const char *path, const char *data,
                           size_t size, uint32_t limit);
/* Hugging Face's tokenizer.json. */
int vocabulary_load_tokenizer_json(struct vocabulary *vocabulary, const char *path,
                                   const json_t *root);
/* Hugging Face's vocab.json, which is parsed, and merges.txt. */
int vocabulary_load_pair(struct vocabulary *vocabulary, const char *vocab_path, json_t *vocab,
                         const char *merges_path);

#endif
