/* SPDX-License-Identifier: MIT
 *
 * The towers of CLIP: one row of facts and functions per kind of tower, and the functions that use
 * it. A tower is appended to a graph for a batch of items and returns which tensors go in and out.
 * Its other results have the names that vkclip_hidden_fn gives. Knows no Vulkan and no files.
 */
#ifndef VKCLIP_MODEL_TOWER_H
#define VKCLIP_MODEL_TOWER_H

#include "graph/graph.h"
#include "model/config.h"

struct tensor_group;

/* The tensors that connect a tower to the rest of a graph. */
struct tower_tensors {
    int input;      /* pictures as tower_write_picture makes them, or token ids [B,T] */
    int rows;       /* [B]: the token at which each text ends; -1 for pictures */
    int embeddings; /* [B,D] */
    int normalized; /* [B,D], the embeddings divided by their length */
};

/* Reads one size of a tensor of a checkpoint; 0 where the tensor or the dimension is missing. It
 * keeps the format of the checkpoint out of the towers. */
struct tower_sizes {
    uint32_t (*get)(const void *checkpoint, const char *name, unsigned dimension);
    const void *checkpoint;
};

struct tower_row {
    enum tower tower;
    /* A checkpoint that has a tensor with such a prefix has this tower; the longest prefix decides
     * between kinds. */
    const char *prefixes[2];
    /* A tensor with this prefix that the tower does not need makes the checkpoint another model's.
     */
    const char *closed;
    const char *position_table; /* It is resized for pictures of another size; NULL for texts. */
    bool batch_norm;            /* Training can freeze its statistics. */

    /* Reads from the shapes of a checkpoint's tensors what they tell. */
    void (*read)(const struct tower_sizes *sizes, struct config *config);
    /* Refuses sizes that no tower has; `path` is the file that said so. */
    int (*check)(const char *path, const struct config *config);
    /* Fills what users are told besides the sizes of the configuration. */
    void (*describe)(const struct config *config, struct vkclip_tower_info *info);
    /* Describes group number `index` of the tensors; false behind the last. */
    bool (*group)(const struct config *config, uint32_t index, struct tensor_group *group);
    /* Appends the tower to a graph, and fills `tensors`. */
    void (*append)(const struct config *config, uint32_t batch, struct graph *graph,
                   struct tower_tensors *tensors);
    /* Pictures only: the floats of one picture's input, and that input from pixels [3,S,S]. */
    size_t (*picture_floats)(const struct config *config);
    void (*write_picture)(const struct config *config, const float *pixels, float *input);
};

#define X(kind, name) extern const struct tower_row tower_##name;
TOWER_KINDS(X)
#undef X

/* The row of a kind; NULL for KIND_NONE. */
const struct tower_row *tower_kind_row(enum tower_kind kind);
/* The row of a model's tower; NULL where it has none. */
const struct tower_row *tower_find(const struct config *config, enum tower tower);

/* What users are told about a tower; zeros where the model has none. */
struct vkclip_tower_info tower_describe(const struct config *config, enum tower tower);

/* Checks the sizes of all towers. */
int tower_check(const char *path, const struct config *config);
/* What the rows' checks share: one size from 1 to `limit`, the sizes of a tower with attention, and
 * those of a picture. `name` is the tower's in messages. */
int tower_check_size(const char *path, const char *name, const char *what, uint32_t size,
                     uint32_t limit);
int tower_check_widths(const char *path, const char *name, const struct config_tower *tower,
                       uint32_t embed_dim);
int tower_check_picture(const char *path, const struct config *config);

/* Appends a tower that the model has, for a batch of items. `tensors` may be NULL. In a training
 * graph, batch norm takes the batch's statistics and moves the running ones. */
int tower_append(const struct config *config, enum tower tower, uint32_t batch, struct graph *graph,
                 struct tower_tensors *tensors);
/* The graph of one tower alone, with activations and weights stored as `type`. After an error the
 * graph is empty. */
int tower_build(const struct config *config, enum tower tower, enum type type, uint32_t batch,
                struct graph *graph, struct tower_tensors *tensors);

/* Floats of one picture's input, and the picture [3,S,S] in that form. */
size_t tower_picture_floats(const struct config *config);
void tower_write_picture(const struct config *config, const float *pixels, float *input);
/* The index of the token at which a text of T ids ends, which is the token that is pooled. */
int32_t tower_text_end(const struct config *config, const int32_t *ids);

#endif
