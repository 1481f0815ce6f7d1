/* SPDX-License-Identifier: MIT
 *
 * Holds the table of the kinds of towers, and the functions that every kind uses.
 */
#include "model/tower.h"
#include "base/error.h"

#include <math.h>

#include "graph/grad.h"

/* ---- The table ------------------------------------------------------------------------------- */

static const struct tower_row *const rows[KIND_COUNT] = {
#define X(kind, name) [KIND_##kind] = &tower_##name,
    TOWER_KINDS(X)
#undef X
};

const struct tower_row *tower_kind_row(enum tower_kind kind)
{
    return rows[kind];
}

const char *tower_kind_name(enum tower_kind kind)
{
    switch (kind) {
#define X(name, text) \
    case KIND_##name: \
        return #text;
        TOWER_KINDS(X)
#undef X
    default:
        return "";
    }
}

const struct tower_row *tower_find(const struct config *config, enum tower tower)
{
    return rows[config_tower(config, tower)->kind];
}

struct vkclip_tower_info tower_describe(const struct config *config, enum tower tower)
{
    const struct config_tower *sizes = config_tower(config, tower);
    const struct tower_row *row = tower_find(config, tower);
    if (!row)
        return (struct vkclip_tower_info){0};
    struct vkclip_tower_info info = {.width = sizes->width,
                                     .layers = sizes->layers,
                                     .heads = sizes->heads,
                                     .mlp = sizes->mlp,
                                     .activation = sizes->activation,
                                     .projection = sizes->projection};
    row->describe(config, &info);
    return info;
}

/* ---- Sizes ----------------------------------------------------------------------------------- */

int tower_check_size(const char *path, const char *name, const char *what, uint32_t size,
                     uint32_t limit)
{
    if (size && size <= limit)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EFORMAT, "%s: %s tower: %s: expected 1 to %u, found %u", path, name,
                      what, limit, size);
}

int tower_check_widths(const char *path, const char *name, const struct config_tower *tower,
                       uint32_t embed_dim)
{
    int error = tower_check_size(path, name, "width", tower->width, 16384);
    if (!error)
        error = tower_check_size(path, name, "layers", tower->layers, 256);
    if (!error)
        error = tower_check_size(path, name, "MLP width", tower->mlp, 65536);
    if (!error)
        error = tower_check_size(path, name, "heads", tower->heads, tower->width);
    if (!error)
        error = tower_check_size(path, name, "embedding", embed_dim, 16384);
    if (!error && tower->width % tower->heads)
        error =
            error_fail(VKCLIP_EFORMAT, "%s: %s tower: width %u is not a multiple of its %u heads",
                       path, name, tower->width, tower->heads);
    return error;
}

int tower_check_patches(const char *path, const struct config *config)
{
    int error = tower_check_size(path, "image", "image size", config->image_size, 4096);
    if (!error)
        error = tower_check_size(path, "image", "patch size", config->patch_size, 4096);
    if (!error && config->image_size < config->patch_size)
        error = error_fail(VKCLIP_EFORMAT, "%s: image size %u: expected at least the patch size %u",
                           path, config->image_size, config->patch_size);
    return error;
}

uint32_t tower_picture_size(uint32_t patch_size, uint32_t patches)
{
    const uint64_t size = patch_size * (uint64_t)sqrt(patches);
    return size < UINT32_MAX ? (uint32_t)size : UINT32_MAX;
}

int tower_check_picture(const char *path, const struct config *config)
{
    int error = tower_check_patches(path, config);
    if (!error && config->image_size % config->patch_size)
        error = error_fail(VKCLIP_EUNSUPPORTED,
                           "%s: image size %u is not a multiple of the patch size %u", path,
                           config->image_size, config->patch_size);
    return error;
}

int tower_check(const char *path, const struct config *config)
{
    const struct tower_row *text = tower_find(config, TOWER_TEXT);
    const struct tower_row *image = tower_find(config, TOWER_IMAGE);
    int error = text ? text->check(path, config) : VKCLIP_OK;
    if (!error && image)
        error = image->check(path, config);
    return error;
}

/* ---- Graphs ---------------------------------------------------------------------------------- */

static void append_relevance(uint32_t layers, struct graph *graph, struct tower_tensors *tensors)
{
    if (graph->error)
        return;
    const struct tensor *normalized = &graph->tensors[tensors->normalized];
    tensors->seed = graph_input(graph, "seed", TYPE_F32, normalized->rank, normalized->shape);
    tensors->relevance =
        grad_relevance(graph, (struct grad_seed){tensors->normalized, tensors->seed}, layers);
}

static int append_features(const struct config *config, enum tower tower,
                           const struct tower_features *features, uint32_t batch,
                           struct graph *graph, struct tower_tensors *tensors)
{
    const struct tower_features none = {0};
    struct tower_tensors appended = TOWER_NO_TENSORS;
    tower_find(config, tower)->append(config, features ? features : &none, batch, graph, &appended);
    if (features && features->explained)
        append_relevance(features->explained, graph, &appended);
    if (tensors)
        *tensors = appended;
    return graph->error;
}

int tower_append(const struct config *config, enum tower tower, uint32_t batch, struct graph *graph,
                 struct tower_tensors *tensors)
{
    return append_features(config, tower, NULL, batch, graph, tensors);
}

int tower_build(const struct config *config, enum tower tower,
                const struct tower_features *features, enum type type, uint32_t batch,
                struct graph *graph, struct tower_tensors *tensors)
{
    graph_init(graph, type);
    /* The gradients of blocks need what inference fuses away. Those of a pool after convolutions do
     * not. */
    graph->training = features && features->explained && tower_find(config, tower)->blocks;
    int error = append_features(config, tower, features, batch, graph, tensors);
    if (error)
        graph_free(graph);
    return error;
}

/* ---- Explanations ---------------------------------------------------------------------------- */

uint32_t tower_attends(const struct config *config)
{
    if (tower_find(config, TOWER_IMAGE)->blocks)
        return config->image.layers;
    return config->image.kind == KIND_RESNET; /* Its pool attends once. */
}

int tower_check_explained(const char *path, const struct config *config, uint32_t layers)
{
    const uint32_t most = tower_attends(config);
    if (!most)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: its image tower, a ConvNeXt, has no attention that could explain "
                          "what it sees",
                          path);
    if (layers > most)
        return error_fail(VKCLIP_EINVALID,
                          "%s: `layers` %u: its image tower attends in %u, expected 1 to %u", path,
                          layers, most, most);
    return VKCLIP_OK;
}

/* ---- Features -------------------------------------------------------------------------------- */

int tower_find_features(const char *path, const struct config *config, enum tower tower,
                        const struct vkclip_features *wanted, struct tower_features *features)
{
    const struct tower_row *row = tower_find(config, tower);
    const struct config_tower *sizes = config_tower(config, tower);
    const char *name = tower == TOWER_IMAGE ? "image" : "text";
    const int layers = (int)sizes->layers;
    *features = (struct tower_features){0};
    if (!row->blocks)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: its %s tower has no layers of tokens, which `features` choose from",
                          path, name);
    if (wanted->layer < -layers - 1 || wanted->layer > layers)
        return error_fail(VKCLIP_EINVALID,
                          "%s: `features`: layer %d of its %s tower, expected 0 to %d, or -1 for "
                          "the last to %d for the first",
                          path, wanted->layer, name, layers, -layers - 1);
    const uint32_t class_tokens = sizes->no_class_token ? 0 : row->class_tokens;
    if (wanted->pooled && sizes->pooling == POOL_ATTENTION)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: `features`: embeddings of its %s tower are made of all tokens, not "
                          "of one that could be pooled",
                          path, name);
    if (wanted->no_class && (!class_tokens || wanted->pooled))
        return error_fail(VKCLIP_EINVALID,
                          "%s: `features`: %s has no class token that could be left out", path,
                          wanted->pooled ? "the pooled token alone" : "its text tower");
    if (tower == TOWER_IMAGE && wanted->pooled &&
        (sizes->pooling == POOL_MEAN || sizes->pool_heads || row->pools_all))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: `features`: its %s tower has no pooled token, because it pools all",
                          path, name);
    if ((wanted->projected || wanted->norm) && sizes->pool_heads)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: `features`: its %s tower's last norm and projection are not of its "
                          "tokens",
                          path, name);
    if (wanted->projected && !sizes->projection)
        return error_fail(VKCLIP_EABSENT, "%s: `features`: its %s tower has no projection", path,
                          name);
    *features = (struct tower_features){
        .wanted = true,
        .layer = (uint32_t)(wanted->layer < 0 ? layers + 1 + wanted->layer : wanted->layer),
        .norm = wanted->norm,
        .pooled = wanted->pooled,
        .projected = wanted->projected,
        .skip = wanted->no_class ? class_tokens : 0};
    return VKCLIP_OK;
}

void tower_features_shape(const struct config *config, enum tower tower,
                          const struct tower_features *features, size_t shape[2])
{
    const struct config_tower *sizes = config_tower(config, tower);
    const uint32_t positions = tower_describe(config, tower).positions;
    shape[0] = features->pooled ? 1 : positions - features->skip;
    shape[1] = features->projected ? config_embed_dim(config, tower) : sizes->width;
}

/* ---- Inputs ---------------------------------------------------------------------------------- */

/* Returns the index of the largest id, the first of several equal ones, as OpenAI's code does. */
static int32_t largest_id(const int32_t *ids, uint32_t count)
{
    int32_t largest = 0;
    for (uint32_t i = 1; i < count; i++)
        if (ids[i] > ids[largest])
            largest = (int32_t)i;
    return largest;
}

/* The host looks up tokens in a table of more rows than this, because a device may be unable to
 * bind the memory of a larger one: with 1280 channels in fp32, this many rows take 640 MiB. The
 * tables of MetaCLIP 2 have 901629 rows, those of CLIP 49408. */
#define TABLE_ROWS 131072

bool tower_looks_up(const struct config *config)
{
    const struct tower_row *row = tower_find(config, TOWER_TEXT);
    return row && (row->looks_up || config->vocabulary > TABLE_ROWS);
}

/* Returns the index of the last token that is no padding, or 0 if there is none. */
static int32_t last_real(const struct config *config, const int32_t *ids)
{
    uint32_t i = config->context;
    while (i > 1 && ids[i - 1] == config->pad_token_id)
        i--;
    return i ? (int32_t)i - 1 : 0;
}

int32_t tower_text_end(const struct config *config, const int32_t *ids)
{
    if (config->text.pooling == POOL_FIRST)
        return 0;
    if (config->text.pooling == POOL_LAST)
        return (int32_t)config->context - 1;
    if (config->eos_token_id < 0)
        return largest_id(ids, config->context);
    for (uint32_t i = 0; i < config->context; i++)
        if (ids[i] == config->eos_token_id)
            return (int32_t)i;
    return 0; /* A text without an end is pooled at its first token, as in Hugging Face's code. */
}

uint32_t tower_text_extent(const struct config *config, const int32_t *ids)
{
    const struct tower_row *row = tower_find(config, TOWER_TEXT);
    if (row && row->knows_padding)
        return (uint32_t)last_real(config, ids) + 1;
    return config->text.bidirectional ? config->context : (uint32_t)tower_text_end(config, ids) + 1;
}
