/* SPDX-License-Identifier: MIT
 *
 * The families of diffusion models, one row per family: which text encoders they have, which states
 * of them condition the denoiser, how texts are padded, and what stands for a missing negative
 * prompt. Whatever differs between families is here; encode/condition.c only follows the rows.
 */
#ifndef VKCLIP_ENCODE_FAMILIES_H
#define VKCLIP_ENCODE_FAMILIES_H

#include "vkclip.h"

#define FAMILY_ENCODERS 3 /* the most that a family has */
#define FAMILY_FILL_END (-1)

/* What the pooled vector gets of an encoder. */
enum family_embedding {
    FAMILY_NO_EMBEDDING,
    FAMILY_EMBEDDING, /* its embedding, projected if the encoder has a projection */
    FAMILY_PROJECTED  /* its embedding, which must be projected */
};

struct family_encoder {
    const char *name;   /* the encoder's, as in files of several models: clip_l */
    const char *folder; /* in the folder of a pipeline */
    /* The state of the tokens that is taken. A pooled one becomes part of the pooled vector. */
    struct vkclip_features features;
    enum family_embedding embedding;
    int32_t fill;   /* id of places after the end of text; FAMILY_FILL_END: the end of text */
    bool shortened; /* Pipelines have a tower that ends at the layer of `features`. */
    bool sequence;  /* The encoder takes texts of the length that the caller chooses: T5. */
    bool stacked;   /* Its rows follow those of the encoders before it. Others lie side by side. */
    bool masked;    /* Tokens after the end of text are not attended to. */
    bool optional;  /* Zeros stand in for it. */
    /* The empty prompt with which ComfyUI compares weighted ones is all padding. */
    bool empty_is_fill;
};

/* What stands for a negative prompt that is not given. */
enum family_negative {
    FAMILY_NEGATIVE_EMPTY, /* the conditioning of an empty text */
    FAMILY_NEGATIVE_ZEROS, /* zeros, unless a pipeline's folder says otherwise */
    FAMILY_NEGATIVE_NONE   /* nothing: the model takes no negative prompt */
};

/* How a pipeline changes a text before it is split into tokens. */
enum family_clean {
    FAMILY_CLEAN_NOTHING,
    FAMILY_CLEAN_LOWER, /* lower case, white space stripped */
    FAMILY_CLEAN_FIX    /* ftfy, HTML references, white space collapsed */
};

struct family {
    const char *name;
    /* Begins of the class names of its pipelines, and the length that each takes by default of an
     * encoder with `sequence`. */
    struct {
        const char *begin;
        uint32_t length;
    } pipelines[2];
    /* Begin of the names of the first encoder's tensors in a file of the whole model; NULL: there
     * are no such files. */
    const char *bundle;
    struct family_encoder encoders[FAMILY_ENCODERS];
    enum family_negative negative;
    enum family_clean clean;
    const char *pooled;    /* name of the pooled tensor; NULL: pooled_prompt_embeds */
    bool pooled_row;       /* The pooled tensor is [B,1,D] instead of [B,D]. */
    bool attention_mask;   /* The mask of the tokens is a result. */
    uint32_t mask_extra;   /* pads after the end of text that the mask has too */
    bool zero_rest;        /* Rows after the end of text are zeros. */
    uint32_t absent_width; /* of an optional encoder's rows, if the pipeline does not say */
};

/* Returns a family by its place in the table, NULL after the last, or by its name, else NULL. */
const struct family *family_row(size_t index);
const struct family *family_find(const char *name);
size_t family_encoder_count(const struct family *family);
/* Returns how many letters of a pipeline's class name are the family's; 0: it is another's. *length
 * becomes the length that such a pipeline takes by default. */
size_t family_match(const struct family *family, const char *class_name, uint32_t *length);
/* Returns which of the three encoders of a pipeline an encoder is: 0 is text_encoder. */
size_t family_folder_index(const struct family_encoder *encoder);

#endif
