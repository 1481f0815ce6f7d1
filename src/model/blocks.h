/* SPDX-License-Identifier: MIT
 *
 * What towers have in common: layers that take their weights from a group of tensors, the
 * pre-LayerNorm transformer, and the projection of the pooled token.
 */
#ifndef VKCLIP_MODEL_BLOCKS_H
#define VKCLIP_MODEL_BLOCKS_H

#include "model/group.h"
#include "model/tower.h"

/* Each function appends a layer whose weight is the tensor of `row` and whose bias is that of the
 * next row. `result` is the name of the result; if it is NULL, the graph chooses a name. */
int block_layernorm(struct graph *graph, const char *result, int x,
                    const struct tensor_group *group, size_t row, float epsilon);
int block_linear(struct graph *graph, const char *result, int x, const struct tensor_group *group,
                 size_t row, enum vkclip_activation activation, int residual);

/* Appends residual + factor * (x weight + bias), where row `scale` has a factor for each column.
 * Inference folds the factors into weight and bias when they are read. In training they are a
 * parameter of their own, so that a checkpoint has what OpenCLIP and timm load. A group without
 * that row has no factors. */
int block_scaled_linear(struct graph *graph, const char *result, int x,
                        const struct tensor_group *group, size_t row, size_t scale, int residual);

/* Appends the pictures of a batch as an input, and what cuts them into patches of the given shape,
 * as graph_patches does. */
int block_pictures(const struct config *config, const struct tower_features *features,
                   uint32_t patch, unsigned rank, const uint32_t *shape, struct graph *graph,
                   struct tower_tensors *tensors);

/* Describes the tensors of block number `block`. Their names begin with `prefix`, which is followed
 * by "transformer.resblocks." and the number, or in towers of timm by "blocks." and the number. */
void block_group(const struct config_tower *tower, const char *prefix, uint32_t block,
                 struct tensor_group *group);
/* Reads the number of blocks and the MLP's width from a checkpoint. */
void block_read_sizes(const struct tower_sizes *sizes, const char *prefix,
                      struct config_tower *tower);

/* These rows describe timm's attention pool (AttentionPoolLatent) in the table of a group, from row
 * `first` on; `flags` are those of the matrices after the attention. In a shape, o is one, w the
 * width, k the length of key and value together, m the MLP's width. */
enum {
    BLOCK_POOL_QUERY = 1, /* counted from `first`, as the others */
    BLOCK_POOL_KEY_VALUE = BLOCK_POOL_QUERY + 2,
    BLOCK_POOL_OUT = BLOCK_POOL_KEY_VALUE + 2,
    BLOCK_POOL_NORM = BLOCK_POOL_OUT + 2,
    BLOCK_POOL_FC = BLOCK_POOL_NORM + 2,
    BLOCK_POOL_PROJ = BLOCK_POOL_FC + 2,
    BLOCK_POOL_ROWS = BLOCK_POOL_PROJ + 2
};
/* clang-format off */
#define BLOCK_POOL(first, flags)                                                                  \
    [first] = {"attn_pool.latent", "oow", LAYOUT_ROWS, INITIAL_WIDTH, TENSOR_HEAD},               \
    {"attn_pool.q.weight", "ww", LAYOUT_PANELS, INITIAL_FAN_IN, TENSOR_HEAD},                     \
    {"attn_pool.q.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_HEAD},                            \
    {"attn_pool.kv.weight", "kw", LAYOUT_PANELS, INITIAL_FAN_IN, TENSOR_HEAD},                    \
    {"attn_pool.kv.bias", "k", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_HEAD},                           \
    {"attn_pool.proj.weight", "ww", LAYOUT_PANELS, INITIAL_FAN_IN, TENSOR_HEAD | (flags)},        \
    {"attn_pool.proj.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_HEAD},                         \
    {"attn_pool.norm.weight", "w", LAYOUT_ROWS, INITIAL_ONE, TENSOR_HEAD},                        \
    {"attn_pool.norm.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_HEAD},                         \
    {"attn_pool.mlp.fc1.weight", "mw", LAYOUT_PANELS, INITIAL_HIDDEN, TENSOR_HEAD | (flags)},     \
    {"attn_pool.mlp.fc1.bias", "m", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_HEAD},                      \
    {"attn_pool.mlp.fc2.weight", "wm", LAYOUT_PANELS, INITIAL_FAN_IN, TENSOR_HEAD | (flags)},     \
    {"attn_pool.mlp.fc2.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, TENSOR_HEAD}
/* clang-format on */

/* Appends the attention pool of normalised tokens and the MLP after it, whose rows begin at `first`
 * in a group of a tower's tensors. The result is one vector per item [B,C]. */
int block_pool(struct graph *graph, const char *result, int tokens,
               const struct tensor_group *group, size_t first, uint32_t heads,
               enum vkclip_activation activation, float epsilon);

/* A tower of blocks, with the rows of its last norm and of its projection in the group of tensors
 * outside the blocks. */
struct block_tower {
    const char *stem;   /* with which the names of results begin */
    const char *prefix; /* with which the names of the blocks' tensors begin */
    const struct config_tower *sizes;
    const struct tensor_group *group;
    size_t norm, projection;
    bool causal;
    bool whole; /* The embedding is made of all tokens of the last block, not of one. */
    int mask;   /* [B,T]: 0 for tokens to which no other attends; -1: there is no mask */
    int rows;   /* [B]: the token that is pooled; -1: the first one */
};

/* Appends the blocks, and the features that are wanted of them. The results of blocks are named
 * STEM.hidden.1 and so on. Returns the pooled token [B,C] of the last one, or all its tokens
 * [B,T,C] if the hidden states are wanted or the embedding is made of all, or -1 if no embedding is
 * wanted. */
int block_transformer(struct graph *graph, int x, const struct block_tower *tower,
                      const struct tower_features *features, struct tower_tensors *tensors);

/* Appends the projection of pooled tokens, which gives embeddings, and the division of the
 * embeddings by their length. Without a projection the pooled tokens are the embeddings. The
 * results are named STEM.projected and STEM.normalized. */
void block_embed(struct graph *graph, int pooled, const struct block_tower *tower,
                 struct tower_tensors *tensors);

#endif
