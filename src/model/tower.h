/* SPDX-License-Identifier: MIT
 *
 * Describes CLIP's towers with one row of facts and functions per kind of tower, and gives the
 * functions that use a row. A tower is appended to a graph for a batch of items and returns the
 * indices of its inputs and results. Its other results have the names that vkclip_hidden_fn lists.
 * Knows no Vulkan and no files.
 */
#ifndef VKCLIP_MODEL_TOWER_H
#define VKCLIP_MODEL_TOWER_H

#include "graph/graph.h"
#include "model/config.h"

struct tensor_group;

/* Says how pictures go in, and which state of the tokens is wanted of a tower. With all zeros
 * pictures are values, and only the embedding is computed. */
struct tower_features {
    bool bytes; /* Pictures go in as RGB bytes. */
    bool wanted;
    bool embedding; /* The embedding is wanted too; without it the tower ends at the layer. */
    uint32_t layer; /* 0: the input of the first block; I: the output of block I */
    bool norm;      /* The tower's final norm follows. */
    bool pooled;    /* Only the token is wanted which embeddings are made of. */
    bool projected; /* The tower's projection follows. */
    bool hidden;    /* All tokens of all blocks are wanted, else perhaps only the pooled token's. */
    bool masked;    /* CLIP's tokens attend only to those that a mask names; T5 always has one. */
    uint32_t skip;  /* tokens at the begin that are left out when results are read */
    /* The relevance of the tokens in so many of the last blocks is wanted too; 0: it is not. */
    uint32_t explained;
};

/* Indices of the tensors that connect a tower to the rest of a graph. */
struct tower_tensors {
    int input;      /* pictures [B,3,S,S], or words [B,n] of their bytes [B,S,S,3]; token ids [B,T],
                     * or vectors of tokens [B,T,C] (see tower_looks_up) */
    int positions;  /* [B,T]: the row of the second table that `look_up` names for each token; -1
                     * where there are only ids, or vectors */
    int values;     /* [3,256]: the normalised value of each byte; -1 where no bytes go in */
    int mask;       /* [B,T]: 0 for tokens to which no other attends; -1 where there is no mask */
    int rows;       /* [B]: the token at which each text ends; -1 for pictures, and where the text's
                     * end does not matter */
    int features;   /* [B,T,C], or [B,C] of the pooled token; -1: not wanted */
    int embeddings; /* [B,D]; -1: not wanted */
    int normalized; /* [B,D], embeddings divided by their length; -1: not wanted */
    int seed;       /* [B,D]: the gradient of what is explained by `normalized`; -1: nothing is */
    int relevance;  /* [B,T] of the tokens, the last of which are the patches; -1: not wanted */
};
#define TOWER_NO_TENSORS                       \
    {                                          \
        -1, -1, -1, -1, -1, -1, -1, -1, -1, -1 \
    }

/* Reads one size of a tensor of a checkpoint, or 0 if the tensor or the dimension is missing. The
 * callback keeps the format of the checkpoint out of the towers. */
struct tower_sizes {
    uint32_t (*get)(const void *checkpoint, const char *name, unsigned dimension);
    const void *checkpoint;
};

/* A row of a tensor of the checkpoint. */
struct tower_lookup {
    const char *table;
    uint64_t row;
};
#define TOWER_LOOKUPS 3

struct tower_row {
    enum tower tower;
    /* A checkpoint has this tower if it has a tensor with one of these prefixes. Where several
     * kinds match, the longest prefix decides. */
    const char *prefixes[2];
    /* A tensor with this prefix which the tower does not need shows that the checkpoint is another
     * model's. */
    const char *closed;
    /* So does a tensor whose name begins with one of these. */
    const char *reserved[5];
    const char *unused;         /* A tensor with the prefix `unused` may be there without need. */
    const char *position_table; /* resized for pictures of another size; NULL: there is none */
    bool batch_norm;            /* Training can freeze the running statistics. */
    bool lock_groups;           /* Training can lock it in part, by lock_group of its tensors. */
    bool blocks;                /* The tower has layers of tokens, which features can be. */
    bool pools_all;        /* Embeddings are made of all tokens, so that none is the pooled one. */
    uint32_t class_tokens; /* tokens at the begin that stand for no part of the input */
    const char *token_table; /* of texts: a row per token */
    bool looks_up; /* The host looks up the tokens; otherwise it does so for large tables only. */
    /* The tower takes texts of any length up to its context, and the padding takes part in it
     * unless a mask leaves it out. */
    bool any_length;
    bool knows_padding; /* Without a caller's mask, the id of padding says which tokens are real. */
    bool fp32;          /* Activations exceed the range of fp16. */

    /* Derives sizes from the shapes of a checkpoint's tensors. */
    void (*read)(const struct tower_sizes *sizes, struct config *config);
    /* Refuses sizes that no tower has; `path` is the file that messages name. */
    int (*check)(const char *path, const struct config *config);
    /* Fills the public description of a tower's sizes. */
    void (*describe)(const struct config *config, struct vkclip_tower_info *info);
    /* Describes group number `index` of the tensors; returns false after the last. */
    bool (*group)(const struct config *config, uint32_t index, struct tensor_group *group);
    /* Lists the rows whose sum is the vector of token number `token` of a text, and returns their
     * number, TOWER_LOOKUPS at most. */
    unsigned (*look_up)(const struct config *config, const int32_t *ids, uint32_t token,
                        struct tower_lookup *lookups);
    /* Appends the tower to a graph and fills `tensors`. */
    void (*append)(const struct config *config, const struct tower_features *features,
                   uint32_t batch, struct graph *graph, struct tower_tensors *tensors);
};

#define X(kind, name) extern const struct tower_row tower_##name;
TOWER_KINDS(X)
#undef X

/* Returns the row of a kind, or NULL for KIND_NONE. */
const struct tower_row *tower_kind_row(enum tower_kind kind);
/* Returns the row of a model's tower, or NULL if the model does not have it. */
const struct tower_row *tower_find(const struct config *config, enum tower tower);
/* Returns the name that users see of a kind, "" of none. */
const char *tower_kind_name(enum tower_kind kind);

/* Returns the public description of a tower, which is all zeros if the model does not have it. */
struct vkclip_tower_info tower_describe(const struct config *config, enum tower tower);

/* Checks the sizes of all towers. */
int tower_check(const char *path, const struct config *config);
/* The rows' own checks use these functions: one size from 1 to `limit`, the sizes of a tower with
 * attention, and the sizes of a picture, of which tower_check_picture also refuses pixels beyond
 * the last patches. `name` is the tower's name in messages. */
int tower_check_size(const char *path, const char *name, const char *what, uint32_t size,
                     uint32_t limit);
int tower_check_widths(const char *path, const char *name, const struct config_tower *tower,
                       uint32_t embed_dim);
int tower_check_patches(const char *path, const struct config *config);
/* Returns the side of the picture that so many patches cover. Pixels that fill no patch leave no
 * trace in a checkpoint's shapes. */
uint32_t tower_picture_size(uint32_t patch_size, uint32_t patches);
int tower_check_picture(const char *path, const struct config *config);

/* Appends a tower that the model has, for a batch of items. `tensors` may be NULL. In a training
 * graph, batch norm uses the batch's statistics and updates the running ones. */
int tower_append(const struct config *config, enum tower tower, uint32_t batch, struct graph *graph,
                 struct tower_tensors *tensors);
/* Builds the graph of one tower alone, with activations and weights stored as `type`. `features`
 * may be NULL. After an error the graph is empty. */
int tower_build(const struct config *config, enum tower tower,
                const struct tower_features *features, enum type type, uint32_t batch,
                struct graph *graph, struct tower_tensors *tensors);

/* Checks which features a caller wants of a tower that the model has. `path` is the file that
 * messages name. */
int tower_find_features(const char *path, const struct config *config, enum tower tower,
                        const struct vkclip_features *wanted, struct tower_features *features);
/* Returns how many times the tokens of an image tower attend to each other, which an explanation
 * can follow back. */
uint32_t tower_attends(const struct config *config);
/* Checks that the relevance of patches in so many of the last blocks can be computed. `path` is the
 * file that messages name. */
int tower_check_explained(const char *path, const struct config *config, uint32_t layers);
/* Tells the shape of one item's features: the number of tokens and the width of each. */
void tower_features_shape(const struct config *config, enum tower tower,
                          const struct tower_features *features, size_t shape[2]);

/* Tells whether the host looks up the tokens of texts in their table, of which a batch needs few
 * rows, so that the device does not hold it and the input has vectors. */
bool tower_looks_up(const struct config *config);

/* Returns the index of the token of a text that is pooled: the one at which the text of T ids ends,
 * or the first or the last one of the context. */
int32_t tower_text_end(const struct config *config, const int32_t *ids);
/* Returns how many tokens of a text of T ids its embedding depends on. */
uint32_t tower_text_extent(const struct config *config, const int32_t *ids);

#endif
