/* SPDX-License-Identifier: MIT
 *
 * Reads the model file of SentencePiece (sentencepiece_model.proto), a protobuf message that holds
 * the pieces of a vocabulary with their scores and says how texts are normalised. This module knows
 * the file only, and not how a text becomes pieces.
 */
#ifndef VKCLIP_FORMAT_SENTENCEPIECE_H
#define VKCLIP_FORMAT_SENTENCEPIECE_H

#include "base/error.h"

/* The kinds of pieces and of models have the numbers that they have in the files. */
enum sentencepiece_kind {
    SENTENCEPIECE_NORMAL = 1,
    SENTENCEPIECE_UNKNOWN,
    SENTENCEPIECE_CONTROL,
    SENTENCEPIECE_USER_DEFINED, /* is one piece wherever it occurs in a text */
    SENTENCEPIECE_UNUSED,
    SENTENCEPIECE_BYTE /* the text of byte 0x0A is "<0x0A>" */
};

enum sentencepiece_algorithm { SENTENCEPIECE_UNIGRAM = 1, SENTENCEPIECE_BPE };

enum {
    SENTENCEPIECE_PIECES =
        4 << 20, /* pieces at most; the largest known vocabularies have 1,000,000 */
    SENTENCEPIECE_PIECE_SIZE =
        512 /* bytes of a piece, which is compared at every place of a text */
};

struct sentencepiece_piece {
    const char *text; /* [length], not terminated */
    uint32_t length;
    enum sentencepiece_kind kind;
    double score; /* a logarithm of a probability; an F32 in the file */
};

struct sentencepiece {
    struct sentencepiece_piece *pieces; /* [count] by id; their texts are views into the file */
    size_t count;
    const uint8_t *charsmap; /* the compiled rules of normalisation; NULL where there are none */
    size_t charsmap_size;
    enum sentencepiece_algorithm algorithm;
    bool byte_fallback; /* An unknown character becomes the pieces of its bytes. */
    bool prefix_space;  /* A space is put before every text. */
    bool remove_spaces; /* Outer spaces are removed, and each run of spaces becomes one. */
    int32_t unknown;    /* id */
    int32_t end, pad;   /* ids; -1: there is no such piece */
};

/* Tells whether data begin as a model file does: with a piece that begins with its text. */
bool sentencepiece_is_model(const void *data, size_t size);
/* Parses a file in memory, which must outlive the result. Messages call the file `name`. On an
 * error nothing needs to be closed. */
int sentencepiece_parse(const void *data, size_t size, const char *name,
                        struct sentencepiece *model);
void sentencepiece_close(struct sentencepiece *model);

/* Returns the byte that the text of a piece "<0x0A>" names, or -1 if it names none. */
int sentencepiece_byte(const char *text, size_t length);

#endif
