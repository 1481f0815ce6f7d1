/* SPDX-License-Identifier: MIT
 *
 * Keeps a byte-pair vocabulary in memory: tokens by id and by text, merges by their two parts. Each
 * kind of file has a reader (vocabulary_openai, vocabulary_hugging_face, vocabulary_gguf), which
 * builds the tables with the functions of this header. The vocabulary knows nothing of how a text
 * is cleaned and split into words.
 */
#ifndef VKCLIP_TEXT_VOCABULARY_H
#define VKCLIP_TEXT_VOCABULARY_H

#include "text/added_tokens.h"

struct merge {
    int32_t left, right, joined;
    uint32_t rank; /* The merge of the lowest rank was learnt first and is applied first. */
};

#define MERGE_NONE UINT32_MAX /* the rank of a free slot */

struct vocabulary {
    char *arena; /* the tokens' texts, each with its NUL */
    size_t arena_used;
    const char **tokens;  /* [count] by id */
    uint32_t *slots;      /* hash table of id + 1 by text; 0: free */
    struct merge *merges; /* hash table by left and right; rank MERGE_NONE: free */
    uint32_t count, slot_mask, merge_mask;
    int32_t symbols[2][256];   /* the token of a byte inside a word, and at its end; -1: none */
    int32_t start, end, pad;   /* ids */
    struct added_token *added; /* [added_count] */
    size_t added_count;
    bool openai;   /* The file is a list of merges or GGUF, which follow OpenAI's rules. */
    bool literals; /* The regex that splits words names start and end of text too. */
};

/* ---- Files ----------------------------------------------------------------------------------- */

/* Reads the vocabulary at `path`, which is one of the files that tokenizer_open names. The pad id
 * is 0, which is OpenAI's. Every function that fills a vocabulary leaves it empty on an error. */
int vocabulary_open(const char *path, struct vocabulary *vocabulary);
struct vocabulary_source;
int vocabulary_load(const struct vocabulary_source *source, struct vocabulary *vocabulary);
void vocabulary_close(struct vocabulary *vocabulary);
/* Sets the pad id to Hugging Face's pad token: that of tokenizer_config.json or
 * special_tokens_map.json in the folder of `path`, else end of text. As in transformers it is found
 * in texts like every special token: the "!" of Stable Diffusion 2 is then padding. */
int vocabulary_read_pad(struct vocabulary *vocabulary, const char *path);
/* Sets the pad id to that of the token `usual`, or to end of text if there is no such token, unless
 * the files beside the source name another. */
int vocabulary_find_pad(struct vocabulary *vocabulary, const struct vocabulary_source *source,
                        const char *usual);

struct gguf;
/* Reads the tokens in a GGUF file, which may be closed afterwards. */
int vocabulary_from_gguf(const struct gguf *file, struct vocabulary *vocabulary);
/* Reads a list of merges in memory, with any number of them, by OpenAI's rule. */
int vocabulary_from_merges(const char *merges, size_t size, struct vocabulary *vocabulary);
/* Writes the vocabulary as the texts of vocab.json and merges.txt, new strings. */
int vocabulary_write(const struct vocabulary *vocabulary, char **vocab, char **merges);

/* ---- Use ------------------------------------------------------------------------------------- */

/* Finds a token's id by its text, which need not end with a NUL. Returns -1 if there is none. */
int32_t vocabulary_find(const struct vocabulary *vocabulary, const char *text, size_t length);
/* Finds the id of the token whose text is `left` followed by `right`. Returns -1 if there is
 * none. */
int32_t vocabulary_find_joined(const struct vocabulary *vocabulary, const char *left,
                               size_t left_length, const char *right, size_t right_length);
/* Finds the merge of two tokens. Returns NULL if they do not merge. */
const struct merge *vocabulary_merge(const struct vocabulary *vocabulary, int32_t left,
                                     int32_t right);
/* Returns the byte that a character of a token's text means, or -1 if it means none. */
int vocabulary_byte(int32_t symbol);
/* Writes the bytes of a token, each of whose characters means one byte, and returns their number,
 * which is at most the length of its text. `bytes` may be NULL. */
size_t vocabulary_token_bytes(const char *token, char *bytes);

/* ---- Building -------------------------------------------------------------------------------- */

#define VOCABULARY_START "<|startoftext|>"
#define VOCABULARY_END "<|endoftext|>"
#define VOCABULARY_WORD_END "</w>" /* the end of the text of a token at a word's end */

enum { VOCABULARY_SYMBOL_SIZE = 8 }; /* bytes of a symbol's text at most */

/* Makes empty tables for `tokens` tokens and `merges` merges. The texts of the tokens take `bytes`
 * bytes, including their NULs. */
int vocabulary_make_tables(struct vocabulary *vocabulary, const char *path, size_t tokens,
                           size_t bytes, size_t merges);
/* Makes room for `count` added tokens. */
int vocabulary_make_added(struct vocabulary *vocabulary, const char *path, size_t count);

/* Adds the token whose text is `left` followed by `right`. Returns false if there is such a token
 * already, or if too many tokens collide in the hash table. */
bool vocabulary_add_joined(struct vocabulary *vocabulary, uint32_t id, const char *left,
                           size_t left_length, const char *right, size_t right_length);
bool vocabulary_add(struct vocabulary *vocabulary, uint32_t id, const char *text, size_t length);
/* Adds a merge, in place of an earlier one of the same tokens. Returns false if too many merges
 * collide in the hash table. */
bool vocabulary_add_merge(struct vocabulary *vocabulary, uint32_t rank, int32_t left, int32_t right,
                          int32_t joined);
void vocabulary_add_added(struct vocabulary *vocabulary, int32_t id, bool normalized);

/* Writes the text of a byte's token, without a NUL, and returns its length. */
size_t vocabulary_symbol_text(uint8_t byte, bool word_end, char text[VOCABULARY_SYMBOL_SIZE]);
/* Finds the tokens of all bytes. Bytes that have no token get the token `unknown`. */
void vocabulary_find_symbols(struct vocabulary *vocabulary, int32_t unknown);
/* Finds the tokens with which every text starts and ends. */
int vocabulary_find_ends(struct vocabulary *vocabulary, const char *path, const char *start,
                         const char *end);

#endif
