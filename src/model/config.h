/* SPDX-License-Identifier: MIT
 *
 * The configuration of a model: which towers it has, their sizes, and how its inputs are prepared.
 * Whatever file describes a model is read into this struct. Nothing here checks the values: the
 * reader of the file does, with tower_check.
 */
#ifndef VKCLIP_MODEL_CONFIG_H
#define VKCLIP_MODEL_CONFIG_H

#include "image/resize.h"
#include "vkclip.h"

/* A model may lack one of CLIP's two towers. */
enum tower { TOWER_IMAGE, TOWER_TEXT, TOWER_COUNT };

/* This list has every kind of tower. The kind KIND_VIT is described by tower_vit, and so on; the
 * table of rows in tower.c is built from the list. */
#define TOWER_KINDS(X)    \
    X(VIT, vit)           \
    X(RESNET, resnet)     \
    X(TEXT, text)         \
    X(T5, t5)             \
    X(BERT, bert)         \
    X(CONVNEXT, convnext) \
    X(EVA, eva)           \
    X(SIGLIP, siglip)

/* KIND_NONE, which is 0, says that the model has no such tower. */
enum tower_kind {
    KIND_NONE,
#define X(kind, name) KIND_##kind,
    TOWER_KINDS(X)
#undef X
        KIND_COUNT
};

/* Says what of a tower's tokens the embedding is made of. */
enum pooling {
    POOL_DEFAULT, /* a picture's class token; the token at which a text ends */
    POOL_FIRST,
    POOL_LAST,     /* the last one of the context, which most texts fill with padding */
    POOL_MEAN,     /* the mean of the patches, or of a text's tokens without the padding */
    POOL_ATTENTION /* what a learned query attends to */
};

/* Says what OpenCLIP does with a text before it goes to a tokenizer of transformers. */
enum text_cleaning {
    TEXT_CLEAN_NONE, /* It is not OpenCLIP, or OpenCLIP's own tokenizer. */
    TEXT_CLEAN_WHITESPACE,
    TEXT_CLEAN_LOWER,
    TEXT_CLEAN_CANONICALIZE
};

struct config_tower {
    enum tower_kind kind;
    bool projection; /* whether a matrix maps the pooled token to the embedding */
    uint32_t width, layers, heads, mlp;
    enum vkclip_activation activation;
    float epsilon;        /* added to the variance in LayerNorm */
    bool projection_bias; /* whether a bias is added to the projection's product */
    bool bidirectional;   /* Tokens of a text attend to later ones too, and to the padding. */
    enum pooling pooling;
    /* Only T5 has these. */
    uint32_t head_width; /* width / heads elsewhere, and then 0, or what gives the heads as soon as
                          * the tensors give the width */
    bool gated;          /* The MLP multiplies its activations by other products of its input. */
    bool own_positions;  /* Each block has relative positions of its own, not the first one's. */
    uint32_t inner;      /* The projection is two matrices with GELU between; 0: it is one. */
    /* Only image towers of OpenCLIP have these. */
    bool no_pre_norm;     /* No LayerNorm comes before the blocks. */
    bool norm_after_pool; /* The last LayerNorm follows the mean of the patches. */
    /* Learned queries attend to all tokens, and the first of them is pooled; 0: there are none. */
    uint32_t pool_heads, pool_queries;
    /* What attention and MLP add is multiplied by factors (LayerScale), which began as this number.
     */
    bool layer_scale;
    float initial_scale;
    /* Only BERT and XLM-R have these. */
    uint32_t positions;   /* rows of the table of positions */
    bool counted;         /* Only tokens that are no padding have a place, and the first one is that
                           * after the id of padding, as in XLM-R. Otherwise it is 0. */
    uint32_t token_types; /* rows of the table of types, of which texts have the first */
    bool pooler;          /* tanh of a matrix and a bias, of the first token */
    uint32_t transformation; /* AltCLIP's norm and matrix for all tokens; 0: there are none. */
    /* Only EVA and PE-Core have these. */
    uint32_t rope_grid;  /* patches per side that rotary positions count; 0: there are none */
    bool post_norm;      /* Norms follow attention and MLP, and do not precede them. */
    bool inner_norm;     /* The last products of attention and MLP are of normalised values. */
    bool no_class_token; /* There are only patches. */
};

#define CONFIG_STAGES 4
/* T5 has no longest text; this is the longest that it was trained with. */
#define T5_CONTEXT 512

struct config {
    enum vkclip_family family;
    struct config_tower image, text;
    /* A ModifiedResNet and a ConvNeXt have no patches; their patch_size is the number of pixels per
     * side that become one position. */
    uint32_t image_size, patch_size;
    uint32_t stages[CONFIG_STAGES];       /* bottlenecks or blocks in each of their stages */
    uint32_t stage_widths[CONFIG_STAGES]; /* channels in each stage of a ConvNeXt */
    uint32_t context, vocabulary;
    uint32_t image_embed_dim,
        text_embed_dim;   /* equal to the tower's width if there is no projection */
    int32_t eos_token_id; /* A text ends at its first such id; -1: at its largest id. */
    int32_t pad_token_id; /* used only if the tokenizer's own files name none */
    float logit_scale;    /* exp of the stored value; 1 if no file has one */
    bool sigmoid;         /* Each pair of a picture and a text has a probability of its own: */
    float logit_bias;     /* sigmoid(logit_scale cos + logit_bias), as in SigLIP. */
    float image_mean[3], image_std[3];
    struct image_resize resize; /* to what size pictures are resized before the centre is cut out */
    bool rgb_first; /* Pictures are converted to RGB before the resize, as Hugging Face does. */
    enum text_cleaning cleaning;
    bool strip_end;          /* Ends of text become 0, as OpenCLIP's strip_sep_token does. */
    char tokenizer_name[96]; /* OpenCLIP's hf_tokenizer_name; "": none */
    char *tokenizer_path;    /* NULL: no vocabulary was found beside the checkpoint */
    bool
        custom_text; /* OpenCLIP's files begin the names of the text tower's tensors with "text." */
};

/* This configuration has no tower, and prepares pictures and texts as OpenAI's code does
 * (clip/clip.py). */
extern const struct config config_defaults;

/* Frees what the configuration owns. */
void config_close(struct config *config);

const struct config_tower *config_tower(const struct config *config, enum tower tower);
uint32_t config_embed_dim(const struct config *config, enum tower tower);

#endif
