/* SPDX-License-Identifier: MIT
 *
 * The normalizers of Hugging Face's `tokenizers`: steps that change a text before it is split, in
 * the order in which a tokenizer.json lists them.
 */
#ifndef VKCLIP_TEXT_NORMALIZER_H
#define VKCLIP_TEXT_NORMALIZER_H

#include "text/charsmap.h"
#include "text/code_points.h"

#include <jansson.h>

struct normalizer;
struct normalizer_step;

/* A step appends the normalised `text` to `out`, and may change `text`. */
typedef void normalizer_step_fn(const struct normalizer *normalizer,
                                const struct normalizer_step *step, struct code_points *text,
                                struct code_points *out);

/* Says what the step Replace replaces. */
enum normalizer_pattern {
    PATTERN_TEXT,       /* the text `from` */
    PATTERN_SPACES,     /* two spaces or more */
    PATTERN_WHITE,      /* each run of white space */
    PATTERN_CHARACTERS, /* each of the characters `from` */
};

struct normalizer_step {
    normalizer_step_fn *apply;
    bool left, right;                           /* the sides that Strip strips */
    enum normalizer_pattern pattern;            /* of Replace */
    struct code_points from, content;           /* of Replace: what goes and what comes */
    bool clean, ideographs, accents, lowercase; /* what BertNormalizer does */
};

/* A struct of zeros leaves texts as they are. */
struct normalizer {
    struct normalizer_step *steps; /* [count] */
    size_t count;
    struct charsmap charsmap; /* of the step Precompiled, of which there is at most one */
};

/* Reads the normalizer of a tokenizer.json, which may be NULL. Messages call the file `path`.
 * Refuses steps that are not those of SigLIP, Gemma, T5, XLM-R and BERT by their names. The
 * normalizer must be closed even after an error. */
int normalizer_load(const json_t *value, const char *path, struct normalizer *normalizer);
/* Puts str.lower letter by letter before all other steps, as the class Siglip2Tokenizer does. */
int normalizer_lower_first(const char *path, struct normalizer *normalizer);
void normalizer_close(struct normalizer *normalizer);

void normalizer_apply(const struct normalizer *normalizer, struct code_points *text);

/* ---- The steps ------------------------------------------------------------------------------- */

normalizer_step_fn normalizer_precompiled, normalizer_strip, normalizer_replace,
    normalizer_lowercase, normalizer_bert;

#endif
