/* SPDX-License-Identifier: MIT
 *
 * The names of tensors in files, and one table that translates between them in both directions.
 * Canonical are the names and shapes of OpenAI's state dict (clip/model.py), which OpenCLIP shares:
 *     visual.conv1.weight [width,3,p,p]      visual.class_embedding [width]
 *     visual.positional_embedding [n,width]  visual.ln_pre.{weight,bias}
 *     visual.transformer.resblocks.I.{ln_1,ln_2}.{weight,bias}
 *     visual.transformer.resblocks.I.attn.{in_proj_weight [3C,C],in_proj_bias [3C]}
 *     visual.transformer.resblocks.I.attn.out_proj.{weight,bias}
 *     visual.transformer.resblocks.I.mlp.{c_fc,c_proj}.{weight,bias}
 *     visual.ln_post.{weight,bias}           visual.proj [width,D]
 *     token_embedding.weight                 positional_embedding
 *     transformer.resblocks.I (as above)     ln_final.{weight,bias}
 *     text_projection [width,D]              logit_scale
 * The encoder of T5 has canonical names in the same manner:
 *     encoder.token_embedding.weight         encoder.ln_final.weight
 *     encoder.block.I.{ln_1,ln_2}.weight     encoder.block.I.attn.relative.weight [buckets,heads]
 *     encoder.block.I.attn.{in_proj_weight,out_proj.weight}
 *     encoder.block.I.mlp.c_fc.weight, which has gate and value one below the other where there is
 *     a gate                                 encoder.block.I.mlp.c_proj.weight
 * BERT and XLM-R have canonical names too, with biases beside the weights:
 *     bert.token_embedding.weight            bert.positional_embedding  bert.type_embedding
 *     bert.ln_embedding.{weight,bias}        bert.block.I.{ln_1,ln_2}.{weight,bias}
 *     bert.block.I.attn.{in_proj_weight,in_proj_bias,out_proj}, .mlp.{c_fc,c_proj}
 *     bert.pooler                            bert.ln_final, bert.transformation (AltCLIP)
 *     bert.proj, or bert.proj.0.weight and bert.proj.2.weight
 * Hugging Face and clip.cpp store query, key and value as three tensors, which are parts of the
 * canonical in_proj, and store projections transposed. A name that no rule knows keeps its name:
 * nothing is guessed, and nothing is refused here. Opens no file.
 */
#ifndef VKCLIP_CHECKPOINT_NAMES_H
#define VKCLIP_CHECKPOINT_NAMES_H

#include "format/tensor_view.h"
#include "vkclip.h"

/* Newer versions of transformers write a model that is one tower without the tower's prefix, which
 * is "text_model." or "vision_model.": such files have the forms TEXT_ALONE and IMAGE_ALONE, or
 * CHINESE_TEXT and ALT_TEXT where the tower is Chinese-CLIP's or AltCLIP's. A T5
 * has transformers' names, or in GGUF files also llama.cpp's, which differ where there is no gate.
 */
enum names_form {
    NAMES_OPENAI,
    NAMES_CUSTOM_TEXT,  /* OpenCLIP's, whose text tower has the prefix "text." */
    NAMES_OPENAI_IMAGE, /* the image tower alone, without "visual." */
    NAMES_HUGGING_FACE,
    NAMES_TEXT_ALONE,
    NAMES_IMAGE_ALONE,
    NAMES_CHINESE_CLIP,
    NAMES_CHINESE_TEXT,
    NAMES_ALT_CLIP,
    NAMES_ALT_TEXT,
    NAMES_M_CLIP,
    NAMES_SIGLIP, /* transformers' */
    NAMES_SIGLIP_TEXT_ALONE,
    NAMES_SIGLIP_IMAGE_ALONE,
    NAMES_CLIP_CPP,
    NAMES_T5,
    NAMES_T5_LLAMA,
    NAMES_T5_LLAMA_PLAIN
};

/* Returns the family whose names a tensor's name shows, or NONE if the name tells nothing.
 * clip.cpp's own names are accepted only in a GGUF file, and belong to OpenAI's family. The
 * form that the name shows is written to `form`, which may be NULL. */
enum vkclip_family names_family(const char *name, bool gguf, enum names_form *form);

/* Tells whether a form is one of those that config.json lies beside. */
bool names_is_hugging_face(enum names_form form);

/* Tells whether a name of a Hugging Face file belongs to one form alone, while others are in
 * several forms, and writes that form to `form`. */
bool names_show_form(const char *name, enum names_form *form);

/* Tells whether a stored name that no rule of the form knows belongs to a part of a model that
 * rules do know: such a tensor would be needed to compute it. */
bool names_belongs(enum names_form form, const char *stored);

/* Tells whether a module keeps the tensor besides its parameters, such as position_ids. */
bool names_is_buffer(const char *name);

/* Says which canonical tensor a stored tensor is, is a part of, or has in some of its rows. */
struct names_canonical {
    char *name;           /* a new string; NULL: the tensor belongs to no tower and is left out */
    unsigned part, parts; /* number of this part and of all: query, key and value, or gate and
                           * value; 0 for a tensor that is whole */
    bool keyless;         /* No file has the second part, the key's, which is zero. */
    bool transposed;      /* The rows of the stored tensor are the columns of the canonical one. */
    bool ruled;           /* A rule of the form knows the stored name. */
    bool copy;            /* Another tensor with the same canonical name takes precedence. */
    bool leading;         /* The canonical tensor has one more dimension, a first one of 1. */
    /* The canonical tensor is so many thirds of the stored tensor's rows, from this one on; 0: all
     * rows. */
    unsigned thirds, first_third;
};
/* A stored tensor has at most so many canonical ones. */
#define NAMES_SLICES 2
/* Finds canonical tensor number `index` of a stored one, which has one unless its rows are several.
 * The name is NULL where there are fewer. */
int names_find_canonical(enum names_form form, const char *stored, unsigned index,
                         struct names_canonical *canonical);

/* Returns the number of names that files of a form have for a canonical tensor or its parts: 1 or
 * 3, and more in forms that are only read, where a tensor may be whole or in parts. */
unsigned names_count_parts(enum names_form form, const char *canonical);

/* Describes one of the tensors in which a file stores a canonical tensor. */
struct names_part {
    char *name; /* a new string */
    unsigned rank;
    uint64_t shape[TENSOR_MAX_RANK];
    uint64_t first_row; /* row of the canonical tensor at which this part begins */
    bool transposed;
    bool reshaped; /* All of the canonical tensor's values are in the same order, in other rows. */
    /* Several canonical tensors are stored as one, whose shape is given: this one follows after so
     * many rows. */
    bool joined;
    uint64_t rows_before;
};
/* `index` must be below names_count_parts; `rank` and `shape` are the canonical tensor's. */
int names_find_part(enum names_form form, const char *canonical, unsigned rank,
                    const uint64_t *shape, unsigned index, struct names_part *part);

#endif
