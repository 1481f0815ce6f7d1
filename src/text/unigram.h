/* SPDX-License-Identifier: MIT
 *
 * The unigram model of SentencePiece (Kudo 2018): a text becomes those pieces whose scores have the
 * largest sum. This header is for the files that make such a tokenizer; others use
 * text/tokenizer.h.
 *
 * There are two references, whose ids differ for some texts. SentencePiece normalises a text as a
 * whole by the longest rules and adds scores as floats. Hugging Face's `tokenizers` cuts a text at
 * the added tokens, normalises by grapheme clusters, splits into words, and adds scores as doubles.
 * A tokenizer.json follows the second, every other file the first.
 */
#ifndef VKCLIP_TEXT_UNIGRAM_H
#define VKCLIP_TEXT_UNIGRAM_H

#include "format/sentencepiece.h"
#include "text/added_tokens.h"
#include "text/charsmap.h"
#include "text/tokenizer_kind.h"
#include "text/trie.h"

#define UNIGRAM_SPACE 0x2581 /* stands for a space in pieces */

struct unigram_piece {
    const char *text;
    enum sentencepiece_kind kind;
    double score;
};

/* Which class of transformers uses a model of SentencePiece. */
enum unigram_class {
    UNIGRAM_PLAIN,       /* none, or T5Tokenizer */
    UNIGRAM_SIGLIP,      /* SiglipTokenizer: lower case, */
    UNIGRAM_SIGLIP_CASED /* or with do_lower_case false */
};

struct unigram {
    struct tokenizer tokenizer;
    char *arena;                  /* the texts of the pieces, each with its NUL */
    struct unigram_piece *pieces; /* [tokenizer.size] by id */
    struct trie trie;             /* the pieces that are searched for in texts */
    struct trie user_defined;     /* the pieces that SentencePiece does not normalise */
    struct charsmap charsmap;
    int32_t unknown; /* id */
    double unknown_score;
    int32_t bytes[256]; /* ids of the pieces of bytes, where `byte_fallback` is set */
    bool byte_fallback;
    bool prefix_space, remove_spaces; /* as struct sentencepiece has them */
    struct added_token *list;         /* [list_count] */
    size_t list_count;
    struct added_tokens added;
    enum unigram_class class;          /* says what is done besides SentencePiece's steps */
    struct unigram_pipeline *pipeline; /* Hugging Face's steps; NULL: SentencePiece's */
};

/* ---- Making a tokenizer ---------------------------------------------------------------------- */

/* Makes a tokenizer with the pieces of a model, all of whose members are copied. A model of
 * SentencePiece has `searched` 0. In a tokenizer.json all kinds of pieces are searched for in
 * texts, but only the first `searched` ids: the rest are added tokens. */
int unigram_new(const struct sentencepiece *model, size_t searched, const char *name,
                struct unigram **unigram);
void unigram_free(struct unigram *unigram);

/* Takes a list [count], which is freed in any case, of the tokens that are searched for in texts.
 */
int unigram_add_tokens(struct unigram *unigram, struct added_token *list, size_t count,
                       const char *name);

/* Opens a file of SentencePiece by the class that tokenizer_config.json beside it names. */
int unigram_open_sentencepiece(const struct vocabulary_source *source, struct unigram **unigram);
int unigram_open_gguf(const struct gguf *file, struct unigram **unigram);
/* Opens Hugging Face's tokenizer.json, which is parsed already. */
int unigram_open_json(const struct vocabulary_source *source, struct unigram **unigram);

/* ---- Hugging Face's steps -------------------------------------------------------------------- */

/* Appends the ids of a text by the steps of the tokenizer's pipeline. */
bool unigram_encode_pipeline(const struct unigram *unigram, const struct code_points *text,
                             struct token_ids *ids);
/* Does the pipeline's normalisers. */
void unigram_normalize_pipeline(const struct unigram *unigram, struct code_points *text);
void unigram_free_pipeline(struct unigram_pipeline *pipeline);

/* ---- The search ------------------------------------------------------------------------------ */

/* Holds what is needed to encode the parts of one text. A struct with only the first two members
 * set is ready for use. */
struct unigram_search {
    const struct unigram *unigram;
    struct token_ids *ids;
    struct unigram_node *nodes; /* [room] */
    size_t room;
    bool after_unknown; /* The last id was for unknown characters. */
    bool failed;        /* out of memory */
};

/* Appends the ids of normalised text, one word or many. */
void unigram_search_run(struct unigram_search *search, const int32_t *codes, size_t length);
void unigram_search_free(struct unigram_search *search);

#endif
