/* SPDX-License-Identifier: MIT
 *
 * A checkpoint's tensors under OpenAI's names. A reader of a file format gives a list of
 * tensor_views; everything here works on that list. Nothing is guessed: a name that no row of the
 * table knows keeps its name, and a tensor that does not hold floating-point numbers is refused.
 */
#include "checkpoint/weights.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"

#include "format/gguf.h"
#include "format/safetensors.h"
#include "format/torch_pt.h"
#include "checkpoint/diffusion.h"
#include "checkpoint/shards.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Pages are released every so many elements, which bounds what a long read keeps in memory. A
 * multiple of every type's block. */
#define CHUNK (1u << 20)

struct weight {
    char *name; /* canonical */
    unsigned rank;
    uint64_t shape[TENSOR_MAX_RANK];
    const struct tensor_view
        *parts[3];                   /* stacked along the first dimension; one where not stacked */
    unsigned count;                  /* of parts */
    unsigned part;                   /* before stacking: this one's place */
    bool transposed;                 /* stored [D,width], canonical [width,D] */
    struct tensor_view *replacement; /* NULL, or parts[0] with memory of its own */
};

struct weights {
    char *path;
    struct safetensors *file; /* of these, what the format needs */
    struct weights_index index;
    struct gguf *gguf;
    struct torch_pt *torch_pt;
    const char *encoder;       /* of several: its name */
    struct tensor_view *views; /* what was found, by name; names and data are the format's */
    size_t view_count;
    enum vkclip_family layout;
    enum dtype dtype;
    uint64_t parameters, bytes;
    struct weight *tensors; /* sorted by name */
    size_t count;
};

/* ---- Names ----------------------------------------------------------------------------------- */

/* Hugging Face to canonical: '#' stands for a block's number, '*' for the rest of the name. */
enum rename_how { AS_IS, TRANSPOSED, PART_0, PART_1, PART_2 };
struct rename {
    const char *from, *to;
    enum rename_how how;
};
/* clang-format off */
#define BLOCK(from, to)                                                              \
    {from ".encoder.layers.#.self_attn.q_proj.*", to ".#.attn.in_proj_*", PART_0},   \
    {from ".encoder.layers.#.self_attn.k_proj.*", to ".#.attn.in_proj_*", PART_1},   \
    {from ".encoder.layers.#.self_attn.v_proj.*", to ".#.attn.in_proj_*", PART_2},   \
    {from ".encoder.layers.#.self_attn.out_proj.*", to ".#.attn.out_proj.*", AS_IS}, \
    {from ".encoder.layers.#.layer_norm1.*", to ".#.ln_1.*", AS_IS},                 \
    {from ".encoder.layers.#.layer_norm2.*", to ".#.ln_2.*", AS_IS},                 \
    {from ".encoder.layers.#.mlp.fc1.*", to ".#.mlp.c_fc.*", AS_IS},                 \
    {from ".encoder.layers.#.mlp.fc2.*", to ".#.mlp.c_proj.*", AS_IS},
static const struct rename hf_renames[] = {
    BLOCK("text_model", "transformer.resblocks")
    BLOCK("vision_model", "visual.transformer.resblocks")
    {"text_model.embeddings.token_embedding.weight", "token_embedding.weight", AS_IS},
    {"text_model.embeddings.position_embedding.weight", "positional_embedding", AS_IS},
    {"text_model.final_layer_norm.*", "ln_final.*", AS_IS},
    {"text_projection.weight", "text_projection", TRANSPOSED},
    {"vision_model.embeddings.class_embedding", "visual.class_embedding", AS_IS},
    {"vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight", AS_IS},
    {"vision_model.embeddings.position_embedding.weight", "visual.positional_embedding", AS_IS},
    {"vision_model.pre_layrnorm.*", "visual.ln_pre.*", AS_IS}, /* transformers' own spelling */
    {"vision_model.post_layernorm.*", "visual.ln_post.*", AS_IS},
    {"visual_projection.weight", "visual.proj", TRANSPOSED},
};
static const struct rename openai_renames[] = { /* but for these, OpenAI's names are canonical */
    {"visual.attnpool.q_proj.*", "visual.attnpool.in_proj_*", PART_0},
    {"visual.attnpool.k_proj.*", "visual.attnpool.in_proj_*", PART_1},
    {"visual.attnpool.v_proj.*", "visual.attnpool.in_proj_*", PART_2},
};
/* clip.cpp's, which calls the first matrix of an MLP "down" and the second "up". */
#define GGUF_BLOCK(from, to)                                    \
    {from ".blk.#.attn_q.*", to ".#.attn.in_proj_*", PART_0},   \
    {from ".blk.#.attn_k.*", to ".#.attn.in_proj_*", PART_1},   \
    {from ".blk.#.attn_v.*", to ".#.attn.in_proj_*", PART_2},   \
    {from ".blk.#.attn_out.*", to ".#.attn.out_proj.*", AS_IS}, \
    {from ".blk.#.ln1.*", to ".#.ln_1.*", AS_IS},               \
    {from ".blk.#.ln2.*", to ".#.ln_2.*", AS_IS},               \
    {from ".blk.#.ffn_down.*", to ".#.mlp.c_fc.*", AS_IS},      \
    {from ".blk.#.ffn_up.*", to ".#.mlp.c_proj.*", AS_IS},
static const struct rename gguf_renames[] = {
    GGUF_BLOCK("t", "transformer.resblocks")
    GGUF_BLOCK("v", "visual.transformer.resblocks")
    {"t.token_embd.weight", "token_embedding.weight", AS_IS},
    {"t.position_embd.weight", "positional_embedding", AS_IS},
    {"t.post_ln.*", "ln_final.*", AS_IS},
    {"text_projection.weight", "text_projection", TRANSPOSED},
    {"v.class_embd", "visual.class_embedding", AS_IS},
    {"v.patch_embd.weight", "visual.conv1.weight", AS_IS},
    {"v.position_embd.weight", "visual.positional_embedding", AS_IS},
    {"v.pre_ln.*", "visual.ln_pre.*", AS_IS},
    {"v.post_ln.*", "visual.ln_post.*", AS_IS},
    {"visual_projection.weight", "visual.proj", TRANSPOSED},
};
/* clang-format on */

#define TABLE(rows)             \
    {                           \
        rows, ARRAY_COUNT(rows) \
    }
static const struct {
    const struct rename *rows;
    size_t count;
} renames[] = {[WEIGHTS_OPENAI] = TABLE(openai_renames),
               [WEIGHTS_HF] = TABLE(hf_renames),
               [WEIGHTS_GGUF] = TABLE(gguf_renames)};

/* Whether `name` fits the pattern; what '#' and '*' stood for begins at *number and *rest. */
static bool matches(const char *name, const char *pattern, const char **number, const char **rest)
{
    for (; *pattern; pattern++) {
        if (*pattern == '*') {
            *rest = name;
            return *name != 0;
        }
        if (*pattern == '#') {
            *number = name;
            name += strspn(name, "0123456789");
        } else if (*pattern != *name++) {
            return false;
        }
    }
    return !*name;
}

/* The name that `pattern` stands for with this number and rest, a new string. */
static char *fill_pattern(const char *pattern, const char *number, const char *rest)
{
    int head = (int)strcspn(pattern, "#*"), digits = (int)strspn(number, "0123456789");
    const char *tail = pattern[head] == '#' ? pattern + head + 1 : pattern + head;
    return string_format("%.*s%.*s%.*s%s", head, pattern, digits, number, (int)strcspn(tail, "*"),
                         tail, rest);
}

/* The canonical name, a new string; *how is what its row says. */
static char *canonical_name(const struct weights *weights, const char *name, enum rename_how *how)
{
    enum weights_form form = weights->gguf                         ? WEIGHTS_GGUF
                             : weights->layout == VKCLIP_FAMILY_HF ? WEIGHTS_HF
                                                                   : WEIGHTS_OPENAI;
    *how = AS_IS;
    for (size_t i = 0; i < renames[form].count; i++) {
        const struct rename *row = &renames[form].rows[i];
        const char *number = "", *rest = "";
        if (matches(name, row->from, &number, &rest)) {
            *how = row->how;
            return fill_pattern(row->to, number, rest);
        }
    }
    return string_format("%s", name);
}

/* What a module keeps besides its parameters. */
static bool is_buffer(const char *name)
{
    static const char *const buffers[] = {"position_ids",     "num_batches_tracked", "attn_mask",
                                          "input_resolution", "context_length",      "vocab_size"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; i < ARRAY_COUNT(buffers); i++)
        if (!strcmp(dot ? dot + 1 : name, buffers[i]))
            return true;
    return false;
}

static enum vkclip_family find_layout(const struct weights *weights)
{
    for (size_t i = 0; i < weights->view_count; i++) {
        const char *name = weights->views[i].name;
        if (weights->gguf && (string_begins_with(name, "t.") || string_begins_with(name, "v.")))
            return VKCLIP_FAMILY_OPENAI;
        if (string_begins_with(name, "text_model.") || string_begins_with(name, "vision_model."))
            return VKCLIP_FAMILY_HF;
        if (string_begins_with(name, "visual.") ||
            string_begins_with(name, "transformer.resblocks."))
            return VKCLIP_FAMILY_OPENAI;
    }
    return VKCLIP_FAMILY_NONE;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const struct weight *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    return order ? order : (x->part > y->part) - (x->part < y->part);
}

static int add_tensor(struct weights *weights, const struct tensor_view *view)
{
    const char *path = weights->path;
    enum rename_how how;
    struct weight *weight = &weights->tensors[weights->count];
    if (!dtype_is_readable(view->dtype))
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: %s: expected F32, F16, BF16 or F64, found %s",
                          path, view->name, dtype_name(view->dtype));
    if (!(weight->name = canonical_name(weights, view->name, &how)))
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    weights->count++;
    weight->rank = view->rank;
    memcpy(weight->shape, view->shape, sizeof(weight->shape));
    weight->parts[0] = view;
    weight->count = 1;
    if (how == TRANSPOSED) {
        if (view->rank != 2)
            return error_fail(VKCLIP_EFORMAT, "%s: %s: expected 2 dimensions, found %u", path,
                              view->name, view->rank);
        weight->transposed = true;
        weight->shape[0] = view->shape[1];
        weight->shape[1] = view->shape[0];
    } else if (how >= PART_0) {
        weight->part = 1 + how - PART_0; /* 0 is a tensor that is whole by itself */
    }
    return VKCLIP_OK;
}

/* The `found` neighbours at `group` share a name: they must be q, k and v of one shape. */
static int stack(const struct weights *weights, struct weight *group, size_t found)
{
    const struct tensor_view *q = group->parts[0];
    bool good = found == 3 && q->rank >= 1;
    for (unsigned i = 0; good && i < 3; i++) {
        const struct tensor_view *view = group[i].parts[0];
        good = group[i].part == i + 1 && view->rank == q->rank && view->dtype == q->dtype &&
               !memcmp(view->shape, q->shape, sizeof(q->shape));
        group->parts[i] = view;
    }
    if (!good)
        return error_fail(
            VKCLIP_EFORMAT,
            "%s: %s: expected q_proj, k_proj and v_proj of one shape and type beside it",
            weights->path, q->name);
    group->count = 3;
    group->shape[0] *= 3;
    return VKCLIP_OK;
}

/* Sorts, and makes one tensor of those that have one name. */
static int merge(struct weights *weights)
{
    size_t kept = 0;
    int error = VKCLIP_OK;
    qsort(weights->tensors, weights->count, sizeof(*weights->tensors), by_name);
    for (size_t i = 0, next; i < weights->count; i = next) {
        struct weight *group = &weights->tensors[i];
        for (next = i + 1; next < weights->count; next++)
            if (strcmp(group->name, weights->tensors[next].name))
                break;
        if (!error && group->part == 0 && next > i + 1)
            error = error_fail(VKCLIP_EFORMAT, "%s: %s is there twice, under two layouts' names",
                               weights->path, group->name);
        if (!error && group->part)
            error = stack(weights, group, next - i);
        for (size_t j = i + 1; j < next; j++)
            free(weights->tensors[j].name);
        weights->tensors[kept++] = *group;
    }
    weights->count = kept;
    return error;
}

/* In the files that `vkclip convert` writes it is a value: clip.cpp knows no such tensor. */
static int add_logit_scale(struct weights *weights)
{
    const struct gguf_value *value = gguf_find(weights->gguf, "clip.logit_scale");
    if (value && value->type != GGUF_F32)
        return error_fail(VKCLIP_EFORMAT, "%s: clip.logit_scale: expected a number of type F32",
                          weights->path);
    if (value)
        weights->views[weights->view_count++] = (struct tensor_view){
            .name = "logit_scale", .dtype = DTYPE_F32, .data = value->data, .size = sizeof(float)};
    return VKCLIP_OK;
}

/* Opens the file and lists what it has, whatever its format: told by its content, an index by its
 * name. */
static int open_file(struct weights *weights)
{
    const struct tensor_view *views = NULL;
    int error = VKCLIP_OK;
    if (weights_index_is(weights->path)) {
        error = weights_index_open(weights->path, &weights->index);
        views = weights->index.views;
        weights->view_count = weights->index.count;
    } else if (gguf_is(weights->path)) {
        if (!(error = gguf_open(weights->path, &weights->gguf))) {
            views = weights->gguf->tensors;
            weights->view_count = weights->gguf->count;
        }
    } else if (torch_pt_is(weights->path)) {
        if (!(error = torch_pt_open(weights->path, &weights->torch_pt))) {
            views = weights->torch_pt->tensors;
            weights->view_count = weights->torch_pt->count;
        }
    } else if (!(error = safetensors_open(weights->path, &weights->file))) {
        views = weights->file->tensors;
        weights->view_count = weights->file->count;
    }
    if (error)
        return error;
    weights->views = calloc(weights->view_count + 2, sizeof(*views));
    weights->tensors = calloc(weights->view_count + 2, sizeof(*weights->tensors));
    if (!weights->views || !weights->tensors)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", weights->path);
    if (weights->view_count)
        memcpy(weights->views, views, weights->view_count * sizeof(*views));
    return weights->gguf ? add_logit_scale(weights) : VKCLIP_OK;
}

static int add_tensors(struct weights *weights)
{
    uint64_t largest = 0;
    int error = VKCLIP_OK;
    for (size_t i = 0; i < weights->view_count && !error; i++) {
        const struct tensor_view *view = &weights->views[i];
        if (is_buffer(view->name))
            continue;
        error = add_tensor(weights, view);
        weights->parameters += tensor_view_elements(view);
        weights->bytes += view->size;
        if (view->size > largest) {
            largest = view->size;
            weights->dtype = view->dtype;
        }
    }
    return error ? error : merge(weights);
}

int weights_open(const char *path, struct weights **result)
{
    return weights_open_encoder(path, NULL, result);
}

int weights_open_encoder(const char *path, const char *encoder, struct weights **result)
{
    *result = NULL;
    struct weights *weights = calloc(1, sizeof(*weights));
    if (!weights || !(weights->path = string_format("%s", path))) {
        free(weights);
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    }
    int error = open_file(weights);
    if (!error && (encoder || !find_layout(weights)))
        error = weights_pick_encoder(path, encoder, weights->views, &weights->view_count,
                                     &weights->encoder);
    if (!error && !(weights->layout = find_layout(weights)))
        error = error_fail(VKCLIP_EUNSUPPORTED,
                           "%s: not a CLIP checkpoint: expected tensors named text_model... or "
                           "vision_model... (Hugging Face), visual... or transformer.resblocks... "
                           "(OpenAI, OpenCLIP)%s, found %s",
                           path, weights->gguf ? ", t... or v... (clip.cpp)" : "",
                           weights->view_count ? weights->views[0].name : "none");
    error = error ? error : add_tensors(weights);
    if (error)
        weights_close(&weights);
    *result = weights;
    return error;
}

void weights_close(struct weights **weights)
{
    if (!weights || !*weights)
        return;
    for (size_t i = 0; i < (*weights)->count; i++) {
        struct weight *weight = &(*weights)->tensors[i];
        free(weight->name);
        if (weight->replacement)
            free((void *)weight->replacement->data);
        free(weight->replacement);
    }
    free((*weights)->tensors);
    safetensors_close(&(*weights)->file);
    weights_index_close(&(*weights)->index);
    gguf_close(&(*weights)->gguf);
    torch_pt_close(&(*weights)->torch_pt);
    free((*weights)->views);
    free((*weights)->path);
    free(*weights);
    *weights = NULL;
}

/* ---- Asking ---------------------------------------------------------------------------------- */

enum vkclip_family weights_layout(const struct weights *weights)
{
    return weights->layout;
}

const struct gguf *weights_gguf(const struct weights *weights)
{
    return weights->gguf;
}

const char *weights_encoder(const struct weights *weights)
{
    return weights->encoder;
}

enum dtype weights_dtype(const struct weights *weights)
{
    return weights->dtype;
}

const char *weights_path(const struct weights *weights)
{
    return weights->path;
}

uint64_t weights_parameters(const struct weights *weights)
{
    return weights->parameters;
}

static int key_name(const void *key, const void *weight)
{
    return strcmp(key, ((const struct weight *)weight)->name);
}

static const struct weight *find(const struct weights *weights, const char *name)
{
    return weights->count
               ? bsearch(name, weights->tensors, weights->count, sizeof(struct weight), key_name)
               : NULL;
}

uint64_t weights_bytes(const struct weights *weights)
{
    return weights->bytes;
}

bool weights_reads(const struct weights *weights, const char *path)
{
    bool reads = file_is_same(weights->path, path);
    for (size_t i = 0; i < weights->index.file_count && !reads; i++)
        reads = file_is_same(weights_index_path(&weights->index, i), path);
    return reads;
}

const char *weights_name(const struct weights *weights, size_t index)
{
    return index < weights->count ? weights->tensors[index].name : NULL;
}

bool weights_shape(const struct weights *weights, const char *name, uint64_t shape[TENSOR_MAX_RANK],
                   unsigned *rank)
{
    const struct weight *weight = find(weights, name);
    if (!weight)
        return false;
    memcpy(shape, weight->shape, sizeof(weight->shape));
    *rank = weight->rank;
    return true;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* `count` elements from `first` on, the file's pages released behind. */
static void read_elements(const struct tensor_view *view, uint64_t first, uint64_t count,
                          float *out)
{
    struct dtype_block block = dtype_block(view->dtype);
    while (count) {
        uint64_t now = count < CHUNK ? count : CHUNK;
        tensor_view_read(view, first, now, out);
        if (!view->resident)
            file_map_forget((const uint8_t *)view->data + first / block.elements * block.bytes,
                            (size_t)(now / block.elements * block.bytes));
        first += now;
        out += now;
        count -= now;
    }
}

/* Rows of the canonical [width,D] are columns of the stored [D,width]. */
static void read_transposed(const struct tensor_view *view, uint64_t first, uint64_t rows,
                            float *out)
{
    uint64_t stored = view->shape[0], width = view->shape[1];
    float values[256];
    for (uint64_t d = 0; d < stored; d++)
        for (uint64_t r = 0; r < rows; r += ARRAY_COUNT(values)) {
            uint64_t now = rows - r < ARRAY_COUNT(values) ? rows - r : ARRAY_COUNT(values);
            tensor_view_read(view, d * width + first + r, now, values);
            for (uint64_t i = 0; i < now; i++)
                out[(r + i) * stored + d] = values[i];
        }
    if (!view->resident)
        file_map_forget(view->data, (size_t)view->size);
}

int weights_read(const struct weights *weights, const char *name, uint64_t first, uint64_t rows,
                 float *out)
{
    const struct weight *weight = find(weights, name);
    if (!weight)
        return error_fail(VKCLIP_EABSENT, "%s: tensor %s is missing", weights_path(weights), name);
    uint64_t all = weight->rank ? weight->shape[0] : 1;
    if (first > all || rows > all - first)
        return error_fail(VKCLIP_EINVALID, "%s: %s: has %llu rows, asked for %llu from %llu on",
                          weights_path(weights), name, (unsigned long long)all,
                          (unsigned long long)rows, (unsigned long long)first);
    const struct tensor_view *view = weight->parts[0];
    if (!rows || !view->size)
        return VKCLIP_OK;
    if (weight->transposed) {
        read_transposed(view, first, rows, out);
        return VKCLIP_OK;
    }
    uint64_t part_rows = all / weight->count;
    uint64_t row = tensor_view_elements(view) / part_rows;
    while (rows) {
        uint64_t at = first % part_rows, now = part_rows - at < rows ? part_rows - at : rows;
        read_elements(weight->parts[first / part_rows], at * row, now * row, out);
        out += now * row;
        first += now;
        rows -= now;
    }
    return VKCLIP_OK;
}

int weights_store_shape(const char *name, unsigned rank, const uint64_t *shape,
                        enum weights_form form, unsigned part, struct weights_stored *stored)
{
    unsigned left = part;
    bool known = false;
    *stored = (struct weights_stored){.rank = rank};
    memcpy(stored->shape, shape, rank * sizeof(*shape));
    for (size_t i = 0; i < renames[form].count && !stored->name; i++) {
        const struct rename *row = &renames[form].rows[i];
        const char *number = "", *rest = "";
        if (!matches(name, row->to, &number, &rest))
            continue;
        known = true;
        if (left--)
            continue;
        if (!(stored->name = fill_pattern(row->from, number, rest)))
            return error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
        stored->transposed = row->how == TRANSPOSED;
        if (row->how >= PART_0) {
            stored->shape[0] /= 3;
            stored->first = part * stored->shape[0];
        }
    }
    if (!stored->name && (known || part))
        return VKCLIP_EABSENT;
    if (!stored->name && !(stored->name = string_format("%s", name)))
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
    if (stored->transposed) {
        uint64_t width = stored->shape[0];
        stored->shape[0] = stored->shape[1];
        stored->shape[1] = width;
    }
    return VKCLIP_OK;
}

int weights_store_as(const struct weights *weights, const char *name, enum weights_form form,
                     unsigned part, struct weights_stored *stored)
{
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank;
    *stored = (struct weights_stored){0};
    return weights_shape(weights, name, shape, &rank)
               ? weights_store_shape(name, rank, shape, form, part, stored)
               : VKCLIP_EABSENT;
}

int weights_replace(struct weights *weights, const char *name, const uint64_t *shape, float *values)
{
    struct weight *weight = (struct weight *)find(weights, name);
    struct tensor_view *view = weight ? calloc(1, sizeof(*view)) : NULL;
    if (!view || weight->replacement) {
        free(view);
        free(values);
        return weight ? error_fail(VKCLIP_EMEMORY, "%s: out of memory", name)
                      : error_fail(VKCLIP_EABSENT, "%s: has no tensor %s", weights->path, name);
    }
    *view = (struct tensor_view){.name = weight->name,
                                 .dtype = DTYPE_F32,
                                 .rank = weight->rank,
                                 .data = values,
                                 .size = 4,
                                 .resident = true};
    for (unsigned i = 0; i < weight->rank; i++) {
        weight->shape[i] = view->shape[i] = shape[i];
        view->size *= shape[i];
    }
    weight->parts[0] = weight->replacement = view;
    weight->count = 1;
    weight->transposed = false;
    return VKCLIP_OK;
}

int weights_read_folded(const struct weights *weights, const char *name, const char *norm,
                        uint64_t first, uint64_t rows, float *out)
{
    int error = weights_read(weights, name, first, rows, out);
    if (error || !*norm)
        return error;
    static const char *const parts[] = {"weight", "running_var", "running_mean"};
    float *values[ARRAY_COUNT(parts)] = {0};
    char full[128];
    uint64_t shape[TENSOR_MAX_RANK] = {0}, length = 1;
    unsigned rank = 0;
    weights_shape(weights, name, shape, &rank);
    for (unsigned i = 1; i < rank; i++)
        length *= shape[i];
    snprintf(full, sizeof(full), "%s.bias", norm);
    bool is_bias = !strcmp(name, full);
    for (size_t i = 0; i < ARRAY_COUNT(parts) && !error; i++) {
        snprintf(full, sizeof(full), "%s.%s", norm, parts[i]);
        values[i] = malloc(rows * sizeof(float));
        error = values[i] ? weights_read(weights, full, first, rows, values[i])
                          : error_fail(VKCLIP_EMEMORY, "out of memory for %s", full);
    }
    for (uint64_t row = 0; row < rows && !error; row++) {
        double scale = values[0][row] / sqrt((double)values[1][row] + 1e-5);
        for (uint64_t i = 0; i < length; i++) {
            float *value = &out[row * length + i];
            *value = (float)(is_bias ? *value - values[2][row] * scale : *value * scale);
        }
    }
    for (size_t i = 0; i < ARRAY_COUNT(parts); i++)
        free(values[i]);
    return error;
}

/* ---- As a row reader ------------------------------------------------------------------------- */

static uint64_t read_row_length(const void *user, const char *name)
{
    const struct weight *weight = find(user, name);
    uint64_t length = weight ? 1 : 0;
    for (unsigned i = 1; weight && i < weight->rank; i++)
        length *= weight->shape[i];
    return length;
}

static int read_rows(const void *user, const char *name, const char *norm, uint64_t first,
                     uint64_t rows, float *values)
{
    return weights_read_folded(user, name, norm, first, rows, values);
}

struct row_reader weights_row_reader(const struct weights *weights)
{
    return (struct row_reader){weights, weights_path(weights), read_row_length, read_rows};
}
