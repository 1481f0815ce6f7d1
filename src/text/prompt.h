/* SPDX-License-Identifier: MIT
 *
 * Turns the prompt of a diffusion model into the token ids and weights of a text encoder, by the
 * rules of diffusers (no syntax), AUTOMATIC1111's webui or ComfyUI, and applies the weights to what
 * the encoder returns. Schedules ([a:b:0.5], [a|b], AND) are text here, because they choose between
 * prompts during sampling, and so are tags such as <lora:NAME:1>.
 */
#ifndef VKCLIP_TEXT_PROMPT_H
#define VKCLIP_TEXT_PROMPT_H

#include "text/tokenizer.h"

/* ---- Parsing --------------------------------------------------------------------------------- */

/* A piece is a run of text with one weight. */
struct prompt_piece {
    size_t start, length; /* in `text` of struct prompt_pieces */
    double weight;
};

struct prompt_pieces {
    char *text;                /* the prompt without its brackets, weights and escapes */
    struct prompt_piece *list; /* [count] */
    size_t count;
};

enum {
    PROMPT_LIMIT = 1 << 16, /* bytes of a prompt: the webui's rules take the square of the length */
    PROMPT_NESTING = 900,   /* brackets in brackets, about where ComfyUI ends by Python's limit */
    PROMPT_PLACES = 1 << 20, /* places of all chunks together */
};

/* Splits a prompt into pieces. The webui's BREAK is a piece of its own, whose weight is -1.
 * Errors: EINVALID (a weight that is no number, or a limit above), EMEMORY. */
int prompt_parse(const char *text, size_t length, enum vkclip_syntax syntax,
                 struct prompt_pieces *pieces);
void prompt_free_pieces(struct prompt_pieces *pieces);

/* ---- Tokens ---------------------------------------------------------------------------------- */

/* A textual inversion is a name in the prompt that stands for vectors, which take places as tokens
 * do. */
struct prompt_embedding {
    const char *name;
    uint32_t vectors;
};

/* The form of an encoder's input. */
struct prompt_form {
    const char *name; /* the encoder's, for messages */
    const struct tokenizer *tokenizer;
    uint32_t length; /* places of a chunk with its start and end of text, such as 77 */
    int32_t fill;    /* id of the places after the end of text */
    /* The encoder takes one sequence of any length, as T5 does. It is filled up to `length`, at
     * which ComfyUI's prompts are not cut, and all others are. */
    bool sequence;
    bool empty_is_fill; /* ComfyUI's empty prompt has no start and end of text, as for PixArt. */
    bool strict; /* Text that is left out, or an unknown embedding, is an error, not a warning. */
    const struct prompt_embedding *embeddings; /* [embedding_count] */
    size_t embedding_count;
};

/* One row of an encoder's input. */
struct prompt_place {
    int32_t id;        /* 0 where a vector takes the place */
    int32_t embedding; /* index in the form's list, or -1 */
    uint32_t vector;   /* which of the embedding's vectors */
    double weight;
};

enum prompt_weighting {
    PROMPT_UNWEIGHTED,  /* The rows stay as they are. */
    PROMPT_MULTIPLY,    /* Each row is multiplied by its weight. */
    PROMPT_RENORMALISE, /* The chunk's mean becomes again what it was before multiplying. */
    PROMPT_INTERPOLATE  /* Each row lies between the empty prompt's and its own. */
};

struct prompt {
    struct prompt_place *places; /* [chunks,length] */
    uint32_t chunks, length;
    /* The places that the text takes, without start, end and fill, and those that there are. A
     * chunk that was closed before it was full counts whole. Where text is left out, `used` is
     * larger. */
    uint32_t used, available;
    char *rest; /* the text that was left out, as its tokens spell it; NULL: none was */
    enum prompt_weighting weighting; /* PROMPT_UNWEIGHTED also where all weights are 1 */
};

/* Errors: EINVALID, EMEMORY, and for a strict form ETOOLONG and EABSENT. */
int prompt_encode(const char *text, size_t length, enum vkclip_syntax syntax,
                  const struct prompt_form *form, struct prompt *prompt);
void prompt_free(struct prompt *prompt);
/* Writes the ids of ComfyUI's empty prompt of `length` places, with which PROMPT_INTERPOLATE
 * compares. */
int prompt_empty(const struct prompt_form *form, uint32_t length, int32_t *ids);

/* ---- Weights --------------------------------------------------------------------------------- */

/* Applies the weights of a chunk to the encoder's rows [length,width] of it. `empty` has the rows
 * of the empty prompt, and only PROMPT_INTERPOLATE reads it. */
void prompt_weigh(const struct prompt *prompt, uint32_t chunk, size_t width, const float *empty,
                  float *rows);

#endif
