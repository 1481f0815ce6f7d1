/* SPDX-License-Identifier: MIT
 *
 * A byte-pair vocabulary in memory: tokens by id and by text, merges by their two parts, and the
 * files that such vocabularies come in. Knows nothing of how a text is cleaned and split into
 * words.
 */
#ifndef VKCLIP_TEXT_VOCABULARY_H
#define VKCLIP_TEXT_VOCABULARY_H

#include "vkclip.h"

struct merge {
    int32_t left, right, joined;
    uint32_t rank;
};

/* A text that is a token wherever it stands. */
struct added_token {
    const char *text;
    int32_t id;
    bool normalized; /* looked for in the normalised text, not in the text as given */
};

struct vocabulary {
    char *arena;          /* the tokens' texts */
    const char **tokens;  /* [count] by id */
    uint32_t *slots;      /* hash table: id + 1 by text */
    struct merge *merges; /* hash table by left and right; rank UINT32_MAX: free */
    uint32_t count, slot_mask, merge_mask;
    int32_t symbols[2][256]; /* the token of a byte: inside a word, at its end; -1: none */
    int32_t start, end, pad;
    struct added_token *added; /* [added_count] */
    size_t added_count;
    bool openai;   /* the file is OpenAI's merges */
    bool literals; /* the split regex names start and end of text too */
};

/* `path`: see tokenizer_open. The pad id is 0, OpenAI's. */
int vocabulary_open(const char *path, struct vocabulary *vocabulary);
/* Hugging Face's pad token: that of tokenizer_config.json or special_tokens_map.json beside the
 * file, else end of text. */
int vocabulary_read_pad(struct vocabulary *vocabulary, const char *path);
void vocabulary_close(struct vocabulary *vocabulary);

struct gguf;
/* The same from the tokens in a GGUF file, which is not needed afterwards. */
int vocabulary_from_gguf(const struct gguf *file, struct vocabulary *vocabulary);
/* The same from a list of merges that is in memory, of any number of them. */
int vocabulary_from_merges(const char *merges, size_t size, struct vocabulary *vocabulary);
/* The vocabulary as the texts of vocab.json and merges.txt, new strings. */
int vocabulary_write(const struct vocabulary *vocabulary, char **vocab, char **merges);

const struct merge *vocabulary_merge(const struct vocabulary *vocabulary, int32_t left,
                                     int32_t right);

/* The byte that a character of a token's text stands for; -1: none. */
int vocabulary_byte(int32_t symbol);

#endif
