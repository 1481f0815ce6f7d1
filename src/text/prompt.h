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
 * Messages begin with `name`. Errors: EINVALID (a weight that is no number, or a limit above),
 * EMEMORY. */
int prompt_parse(const char *name, const char *text, size_t length, enum vkclip_syntax syntax,
                 struct prompt_pieces *pieces);
void prompt_free_pieces(struct prompt_pieces *pieces);

/* ---- Tokens ---------------------------------------------------------------------------------- */

/* The form of an encoder's input. */
struct prompt_form {
    const char *name; /* with which messages begin: the encoder's, or the prompt's too */
    const struct tokenizer *tokenizer;
    uint32_t length; /* places of a chunk with its start and end of text, such as 77 */
    int32_t fill;    /* id of the places after the end of text */
    /* Without a syntax this text is the fill id wherever it occurs, as the pad token is in
     * diffusers' tokenizers: "!" of Stable Diffusion 2 and of XL's second encoder. NULL: there is
     * none. */
    const char *pad_text;
    /* The encoder takes one sequence of any length, as T5 does. It is filled up to `length`, at
     * which ComfyUI's prompts are not cut, and all others are. 0: as long as the prompt. */
    bool sequence;
    bool empty_is_fill; /* ComfyUI's empty prompt has no start and end of text, as for PixArt. */
    bool strict; /* Text that is left out, or an unknown embedding, is an error, not a warning. */
    const struct vkclip_embedding *embeddings; /* [embedding_count] */
    size_t embedding_count;
};

/* Errors: EINVALID, EMEMORY, and for a strict form ETOOLONG and EABSENT. */
int prompt_encode(const char *text, size_t length, enum vkclip_syntax syntax,
                  const struct prompt_form *form, struct vkclip_prompt *prompt);
void prompt_free(struct vkclip_prompt *prompt);
/* Writes the ids of ComfyUI's empty prompt of `length` places, with which
 * VKCLIP_WEIGHTING_INTERPOLATE compares. */
void prompt_empty(const struct prompt_form *form, uint32_t length, int32_t *ids);

/* ---- Weights --------------------------------------------------------------------------------- */

/* Applies the weights of a chunk to the encoder's rows [length,width] of it. `empty` has the rows
 * of the empty prompt, and only VKCLIP_WEIGHTING_INTERPOLATE reads it. */
void prompt_weigh(const struct vkclip_prompt *prompt, uint32_t chunk, size_t width,
                  const float *empty, float *rows);

#endif
