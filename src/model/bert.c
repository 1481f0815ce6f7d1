/* SPDX-License-Identifier: MIT
 *
 * The encoders BERT (Devlin et al. 2019) and XLM-R (Conneau et al. 2020) as text towers, with the
 * heads that OpenCLIP, M-CLIP, AltCLIP and Chinese-CLIP put on them. Norms come after the sums, and
 * every token attends to all that are no padding. The vector of a token is the sum of its row of
 * the vocabulary, of its position's and of its type's, of which there is one per text. The host
 * adds up the rows, because vocabularies have up to 250002 of them; only a tower that is trained
 * has the tables on the device.
 */
#include "base/array.h"
#include "base/error.h"
#include "model/blocks.h"

enum { TOKENS, POSITIONS, TYPES, LN_TOKENS, OUTER_ROWS = LN_TOKENS + 2 };

/* In a shape, v is the size of the vocabulary, w the width, p the number of positions, y that of
 * types, i the width between the matrices of the projection, t that of the transformation, d the
 * length of the embedding. */
static const struct tensor_row outer_rows[] = {
    [TOKENS] = {"token_embedding.weight", "vw", LAYOUT_ROWS, INITIAL_TOKENS, 0},
    [POSITIONS] = {"positional_embedding", "pw", LAYOUT_ROWS, INITIAL_TOKENS, 0},
    [TYPES] = {"type_embedding", "yw", LAYOUT_ROWS, INITIAL_TOKENS, 0},
    [LN_TOKENS] = {"ln_embedding.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"ln_embedding.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
};

/* Each row after a weight's is its bias. */
enum { LN_1, QKV = LN_1 + 2, OUT = QKV + 2, LN_2 = OUT + 2, FC = LN_2 + 2, PROJ = FC + 2 };

/* In a shape, q is the length of query, key and value together, m the MLP's width. */
static const struct tensor_row block_rows[] = {
    [LN_1] = {"ln_1.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"ln_1.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [QKV] = {"attn.in_proj_weight", "qw", LAYOUT_PANELS, INITIAL_TOKENS, 0},
    {"attn.in_proj_bias", "q", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [OUT] = {"attn.out_proj.weight", "ww", LAYOUT_PANELS, INITIAL_TOKENS, 0},
    {"attn.out_proj.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [LN_2] = {"ln_2.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"ln_2.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [FC] = {"mlp.c_fc.weight", "mw", LAYOUT_PANELS, INITIAL_TOKENS, 0},
    {"mlp.c_fc.bias", "m", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [PROJ] = {"mlp.c_proj.weight", "wm", LAYOUT_PANELS, INITIAL_TOKENS, 0},
    {"mlp.c_proj.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
};

/* The tables of what comes after the blocks. */
static const struct tensor_row pooler_rows[] = {
    {"pooler.weight", "ww", LAYOUT_PANELS, INITIAL_TOKENS, TENSOR_DELICATE},
    {"pooler.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
};
enum { LN_FINAL, TRANSFORMATION = LN_FINAL + 2 };
static const struct tensor_row transformation_rows[] = {
    [LN_FINAL] = {"ln_final.weight", "w", LAYOUT_ROWS, INITIAL_ONE, 0},
    {"ln_final.bias", "w", LAYOUT_ROWS, INITIAL_ZERO, 0},
    [TRANSFORMATION] = {"transformation.weight", "tw", LAYOUT_PANELS, INITIAL_WIDTH,
                        TENSOR_DELICATE},
    {"transformation.bias", "t", LAYOUT_ROWS, INITIAL_ZERO, 0},
};
/* AltCLIP's projection is that of transformed tokens. The bias may be absent. */
static const struct tensor_row projection_rows[] = {
    {"proj.weight", "dx", LAYOUT_PANELS, INITIAL_FAN_IN, TENSOR_DELICATE},
    {"proj.bias", "d", LAYOUT_ROWS, INITIAL_ZERO, 0},
};
static const struct tensor_row projections_rows[] = {
    {"proj.0.weight", "iw", LAYOUT_PANELS, INITIAL_FAN_IN, TENSOR_DELICATE},
    {"proj.2.weight", "di", LAYOUT_PANELS, INITIAL_FAN_IN, TENSOR_DELICATE},
};

/* The groups of tensors are the tables before the blocks, each block, and those of these parts of
 * the head that the tower has, in this order. */
enum part { PART_POOLER, PART_TRANSFORMATION, PART_PROJECTION, PART_COUNT };

/* ---- Tensors --------------------------------------------------------------------------------- */

static void set_sizes(const struct config *config, struct tensor_group *group)
{
    const struct config_tower *tower = &config->text;
    group_set(group, 'v', config->vocabulary);
    group_set(group, 'w', tower->width);
    group_set(group, 'p', tower->positions);
    group_set(group, 'y', tower->token_types);
    group_set(group, 'q', 3 * (uint64_t)tower->width);
    group_set(group, 'm', tower->mlp);
    group_set(group, 'i', tower->inner);
    group_set(group, 't', tower->transformation);
    group_set(group, 'x', tower->transformation ? tower->transformation : tower->width);
    group_set(group, 'd', config->text_embed_dim);
    group_set(group, 'l', tower->layers);
}

/* Describes a part of the head; returns false if the tower does not have it. */
static bool part_group(const struct config *config, enum part part, struct tensor_group *group)
{
    const struct config_tower *tower = &config->text;
    *group = (struct tensor_group){.prefix = "bert."};
    set_sizes(config, group);
    if (part == PART_POOLER) {
        group->rows = pooler_rows;
        group->count = ARRAY_COUNT(pooler_rows);
        return tower->pooler;
    }
    if (part == PART_TRANSFORMATION) {
        group->rows = transformation_rows;
        group->count = ARRAY_COUNT(transformation_rows);
        return tower->transformation;
    }
    group->rows = tower->inner ? projections_rows : projection_rows;
    group->count = tower->inner ? ARRAY_COUNT(projections_rows)
                                : ARRAY_COUNT(projection_rows) - !tower->projection_bias;
    return tower->projection;
}

static void outer_group(const struct config *config, struct tensor_group *group)
{
    *group = (struct tensor_group){.prefix = "bert.", .rows = outer_rows, .count = OUTER_ROWS};
    set_sizes(config, group);
}

static void block_rows_group(const struct config *config, uint32_t block,
                             struct tensor_group *group)
{
    *group = (struct tensor_group){.rows = block_rows, .count = ARRAY_COUNT(block_rows)};
    snprintf(group->prefix, sizeof(group->prefix), "bert.block.%u.", block);
    set_sizes(config, group);
}

static bool describe_group(const struct config *config, uint32_t index, struct tensor_group *group)
{
    const uint32_t layers = config->text.layers;
    if (!index)
        outer_group(config, group);
    else if (index <= layers)
        block_rows_group(config, index - 1, group);
    if (index <= layers)
        return true;
    uint32_t left = index - layers;
    for (enum part part = 0; part < PART_COUNT; part++)
        if (part_group(config, part, group) && !--left)
            return true;
    return false;
}

/* Reads the sizes that shapes tell. The number of heads is not among them. */
static void read_sizes(const struct tower_sizes *sizes, struct config *config)
{
    struct config_tower *tower = &config->text;
    const void *checkpoint = sizes->checkpoint;
    char name[64];
    config->vocabulary = sizes->get(checkpoint, "bert.token_embedding.weight", 0);
    tower->width = sizes->get(checkpoint, "bert.token_embedding.weight", 1);
    tower->positions = sizes->get(checkpoint, "bert.positional_embedding", 0);
    tower->token_types = sizes->get(checkpoint, "bert.type_embedding", 0);
    tower->mlp = sizes->get(checkpoint, "bert.block.0.mlp.c_fc.weight", 0);
    tower->inner = sizes->get(checkpoint, "bert.proj.0.weight", 0);
    tower->projection_bias = sizes->get(checkpoint, "bert.proj.bias", 0);
    for (tower->layers = 0; tower->layers < UINT16_MAX; tower->layers++) {
        snprintf(name, sizeof(name), "bert.block.%u.ln_1.weight", tower->layers);
        if (!sizes->get(checkpoint, name, 0))
            break;
    }
    config->text_embed_dim =
        sizes->get(checkpoint, tower->inner ? "bert.proj.2.weight" : "bert.proj.weight", 0);
    tower->projection = config->text_embed_dim > 0;
}

/* Returns the place of a text's first token in the table of positions. */
static uint32_t first_position(const struct config *config)
{
    return config->text.counted ? (uint32_t)config->pad_token_id + 1 : 0;
}

static int check_sizes(const char *path, const struct config *config)
{
    const struct config_tower *tower = &config->text;
    const struct {
        const char *what;
        uint32_t size, limit;
    } limits[] = {
        {"context", config->context, 8192},
        {"vocabulary", config->vocabulary, 1 << 24},
        {"positions", tower->positions, 1 << 16},
        {"token types", tower->token_types, 1 << 16},
        {"width of the projection", tower->inner ? tower->inner : 1, 65536},
        {"width of the transformation", tower->transformation ? tower->transformation : 1, 16384},
    };
    int error = tower_check_widths(path, "text", tower, config->text_embed_dim);
    for (size_t i = 0; i < ARRAY_COUNT(limits) && !error; i++)
        error = tower_check_size(path, "text", limits[i].what, limits[i].size, limits[i].limit);
    if (!error &&
        (config->pad_token_id < 0 || (uint32_t)config->pad_token_id >= config->vocabulary))
        error =
            error_fail(VKCLIP_EFORMAT, "%s: text tower: id of padding: expected 0 to %u, found %d",
                       path, config->vocabulary - 1, config->pad_token_id);
    if (!error && (first_position(config) >= tower->positions ||
                   config->context > tower->positions - first_position(config)))
        error = error_fail(VKCLIP_EFORMAT,
                           "%s: text tower: context of %u tokens from position %u on: expected at "
                           "most %u positions",
                           path, config->context, first_position(config), tower->positions);
    return error;
}

static void describe_tower(const struct config *config, struct vkclip_tower_info *info)
{
    info->positions = config->context;
}

/* ---- Tokens ---------------------------------------------------------------------------------- */

/* Returns the position of a token, as create_position_ids_from_input_ids of transformers does where
 * real tokens are counted: the mask of a caller does not change it. */
static uint32_t find_position(const struct config *config, const int32_t *ids, uint32_t token)
{
    uint32_t position = first_position(config);
    if (!config->text.counted)
        return token;
    if (ids[token] == config->pad_token_id)
        return position - 1;
    for (uint32_t i = 0; i < token; i++)
        position += ids[i] != config->pad_token_id;
    return position;
}

static unsigned look_up(const struct config *config, const int32_t *ids, uint32_t token,
                        struct tower_lookup *lookups)
{
    const uint32_t position = find_position(config, ids, token);
    lookups[0] = (struct tower_lookup){"bert.token_embedding.weight", (uint64_t)ids[token]};
    lookups[1] = (struct tower_lookup){"bert.positional_embedding", position};
    lookups[2] = (struct tower_lookup){"bert.type_embedding", 0};
    return 3;
}

/* ---- The graph ------------------------------------------------------------------------------- */

static const enum vkclip_activation none = VKCLIP_ACTIVATION_AUTO;

/* Appends the vectors of tokens. The host adds up the rows of their tables, unless these are
 * trained. */
static int append_tokens(const struct config *config, uint32_t batch, struct graph *graph,
                         const struct tensor_group *group, struct tower_tensors *tensors)
{
    const uint32_t shape[] = {batch, config->context, config->text.width};
    if (!graph->training)
        return tensors->input = graph_input(graph, "text.tokens", graph->type, 3, shape);
    tensors->input = graph_input(graph, "text.ids", TYPE_I32, 2, shape);
    tensors->positions = graph_input(graph, "text.positions", TYPE_I32, 2, shape);
    const int x = graph_embedding_first(graph, NULL, tensors->positions,
                                        group_weight(graph, group, POSITIONS),
                                        group_weight(graph, group, TYPES));
    return graph_embedding(graph, "text.vectors", tensors->input,
                           group_weight(graph, group, TOKENS), x);
}

/* Appends x = ln_1(x + attention(x)), then x = ln_2(x + mlp(x)). */
static int append_block(struct graph *graph, const char *result, int x, int mask,
                        const struct config_tower *tower, const struct tensor_group *group)
{
    int y = block_linear(graph, NULL, x, group, QKV, none, -1);
    y = graph_attention_masked(graph, NULL, y, mask, -1, tower->heads, false, 0);
    x = block_linear(graph, NULL, y, group, OUT, none, x);
    x = block_layernorm(graph, NULL, x, group, LN_1, tower->epsilon);
    y = block_linear(graph, NULL, x, group, FC, tower->activation, -1);
    y = block_linear(graph, NULL, y, group, PROJ, none, x);
    return block_layernorm(graph, result, y, group, LN_2, tower->epsilon);
}

/* Appends the blocks from number `first` up to number `end`. */
static int append_blocks(const struct config *config, struct graph *graph, int x, int mask,
                         uint32_t first, uint32_t end)
{
    struct tensor_group group;
    char result[64];
    for (uint32_t i = first; i < end; i++) {
        block_rows_group(config, i, &group);
        snprintf(result, sizeof(result), "text.hidden.%u", i + 1);
        graph_begin_segment(graph);
        x = append_block(graph, result, x, mask, &config->text, &group);
    }
    graph_end_segment(graph);
    return x;
}

/* Appends the mean of the tokens [B,T,C], or the first one. */
static int append_pool(const struct config *config, struct graph *graph, const char *result, int x,
                       int mask)
{
    if (config->text.pooling == POOL_MEAN)
        return graph_mean(graph, result, x, mask, 0);
    return graph_select(graph, result, x, -1);
}

/* Appends AltCLIP's norm or its matrix after it for any number of tokens. */
static int append_final_norm(const struct config *config, struct graph *graph, const char *result,
                             int x)
{
    struct tensor_group group;
    part_group(config, PART_TRANSFORMATION, &group);
    return block_layernorm(graph, result, x, &group, LN_FINAL, config->text.epsilon);
}

static int append_transformation(const struct config *config, struct graph *graph,
                                 const char *result, int x)
{
    struct tensor_group group;
    part_group(config, PART_TRANSFORMATION, &group);
    return block_linear(graph, result, x, &group, TRANSFORMATION, none, -1);
}

static int append_pooler(const struct config *config, struct graph *graph, const char *result,
                         int x)
{
    struct tensor_group group;
    part_group(config, PART_POOLER, &group);
    return graph_tanh(graph, result, block_linear(graph, NULL, x, &group, 0, none, -1));
}

static int append_projection(const struct config *config, struct graph *graph, const char *result,
                             int x)
{
    const struct config_tower *tower = &config->text;
    struct tensor_group group;
    if (!part_group(config, PART_PROJECTION, &group))
        return x;
    const int first = group_weight(graph, &group, 0);
    if (tower->inner) {
        x = graph_matmul(graph, NULL, x, first, -1, VKCLIP_ACTIVATION_GELU, -1);
        return graph_matmul(graph, result, x, group_weight(graph, &group, 1), -1, none, -1);
    }
    const int bias = tower->projection_bias ? group_weight(graph, &group, 1) : -1;
    return graph_matmul(graph, result, x, first, bias, none, -1);
}

/* Appends what makes features of the tokens x. The projection is that of all that comes after the
 * blocks. */
static int append_features(const struct config *config, struct graph *graph, int x, int mask,
                           const struct tower_features *features)
{
    const struct config_tower *tower = &config->text;
    if (features->pooled)
        x = append_pool(config, graph, NULL, x, mask);
    if (tower->transformation && (features->norm || features->projected))
        x = append_final_norm(config, graph, NULL, x);
    if (!features->projected)
        return x;
    if (tower->transformation)
        x = append_transformation(config, graph, NULL, x);
    if (tower->pooler)
        x = append_pooler(config, graph, NULL, x);
    return append_projection(config, graph, NULL, x);
}

/* Appends the head: the embedding is made of the tokens x of the last block. */
static void append_head(const struct config *config, struct graph *graph, int x,
                        const struct tower_features *features, struct tower_tensors *tensors)
{
    const struct config_tower *tower = &config->text;
    if (tower->transformation && features->hidden) {
        x = append_final_norm(config, graph, "text.final_norm", x);
        x = append_transformation(config, graph, "text.transformation", x);
        x = append_pool(config, graph, "text.pooled", x, tensors->mask);
    } else if (tower->transformation) { /* Only the first token matters. */
        x = append_pool(config, graph, NULL, x, tensors->mask);
        x = append_transformation(config, graph, "text.pooled",
                                  append_final_norm(config, graph, NULL, x));
    } else if (tower->pooler) {
        x = append_pool(config, graph, NULL, x, tensors->mask);
        x = append_pooler(config, graph, "text.pooled", x);
    } else {
        x = append_pool(config, graph, "text.pooled", x, tensors->mask);
    }
    tensors->embeddings = append_projection(config, graph, "text.projected", x);
    tensors->normalized = graph_normalize(graph, "text.normalized", tensors->embeddings);
}

static void append_bert(const struct config *config, const struct tower_features *features,
                        uint32_t batch, struct graph *graph, struct tower_tensors *tensors)
{
    const struct config_tower *tower = &config->text;
    const uint32_t layer = features->wanted ? features->layer : tower->layers;
    const uint32_t shape[] = {batch, config->context};
    struct tensor_group group;
    outer_group(config, &group);
    int x = append_tokens(config, batch, graph, &group, tensors);
    tensors->mask = graph_input(graph, "text.mask", TYPE_I32, 2, shape);
    x = block_layernorm(graph, "text.hidden.0", x, &group, LN_TOKENS, tower->epsilon);
    x = append_blocks(config, graph, x, tensors->mask, 0, layer);
    if (features->wanted)
        tensors->features = append_features(config, graph, x, tensors->mask, features);
    if (features->wanted && !features->embedding)
        return;
    x = append_blocks(config, graph, x, tensors->mask, layer, tower->layers);
    append_head(config, graph, x, features, tensors);
}

const struct tower_row tower_bert = {
    .tower = TOWER_TEXT,
    .prefixes = {"bert."},
    .closed = "bert.",
    .unused = "bert.pooler.",
    .blocks = true,
    .token_table = "bert.token_embedding.weight",
    .looks_up = true,
    .any_length = true,
    .knows_padding = true,
    .read = read_sizes,
    .check = check_sizes,
    .describe = describe_tower,
    .group = describe_group,
    .look_up = look_up,
    .append = append_bert,
};
