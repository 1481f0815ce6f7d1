/* SPDX-License-Identifier: MIT
 *
 * What one text encoder of a diffusion model makes of prompts: the places of its input, the states
 * of the tokens with the prompts' weights, and a vector per prompt. Does not know what other
 * encoders do.
 */
#ifndef VKCLIP_ENCODE_ENCODING_H
#define VKCLIP_ENCODE_ENCODING_H

#include "encode/conditioner.h"
#include "text/prompt.h"

struct encoding {
    const struct conditioner_encoder *encoder;
    struct vkclip_prompt *prompts; /* [count] */
    size_t count;
    uint32_t chunks, length; /* A prompt is `chunks` rows of `length` places. */
    size_t rows;             /* of all prompts, and the empty one's where weights need it */
    bool interpolates;       /* The last row is the empty prompt. */
    int32_t *ids;            /* [rows,length] */
    uint32_t *ends;          /* [rows], the place at which the text ends */
    float *states;           /* [rows,length,width]; NULL: the encoder gives none */
    float *pooled;           /* [rows,pooled_width]; NULL: the encoder gives none */
    size_t width, pooled_width;
};

/* Splits one prompt into places. params->length is the number of places of an encoder with
 * `sequence`. Messages begin with `name`. */
int encoding_tokenize_text(const struct conditioner_encoder *encoder, const char *name,
                           const char *text, const struct vkclip_prompt_params *params,
                           struct vkclip_prompt *prompt);
/* Splits prompts into places. `length` is the number of places of an encoder with `sequence`. */
int encoding_tokenize(const struct conditioner_encoder *encoder, const char *const *texts,
                      size_t count, const struct vkclip_condition_params *params, uint32_t length,
                      struct encoding *encoding);
/* Computes the states and vectors of encodings by one encoder that have the same length. Prompts
 * with fewer than `encoding->chunks` chunks are continued with empty ones. */
int encoding_run(struct encoding *const *encodings, size_t count,
                 const struct vkclip_features *features);
void encoding_close(struct encoding *encoding);

#endif
