/* SPDX-License-Identifier: MIT
 *
 * Writes a checkpoint as another file: safetensors with fp32, fp16 or bf16 matrices, or clip.cpp's
 * GGUF. Rows are read, converted and written one group after the other. Refuses what the result
 * could not say, before anything is written.
 */
#include "checkpoint/convert.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/half.h"
#include "base/string.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checkpoint/write_config.h"
#include "format/gguf_write.h"
#include "format/safetensors.h"
#include "graph/graph.h"
#include "graph/quant.h"
#include "text/vocabulary.h"

#define GROUP_FLOATS ((uint64_t)1 << 20) /* what is read at once, unless a row is longer */

/* A tensor of the output, and where its values are. */
struct piece {
    struct weights_stored stored;
    const char *name; /* canonical */
    struct tensor_view view;
};

struct conversion {
    const struct vkclip_convert_params *params;
    struct config config;
    struct weights *weights;
    enum weights_form form;
    struct piece *pieces;
    struct tensor_view *views; /* the pieces', in order */
    size_t count;
    struct convert_beside beside;
    char *path;
    uint64_t done, total;
};

/* ---- What the output is ---------------------------------------------------------------------- */

static int check_type(const char *output, enum vkclip_type type, bool gguf)
{
    static const char *const others[] = {".pt", ".pth", ".bin", ".onnx", ".json", ".ckpt"};
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        if (string_ends_with(output, others[i]))
            return error_fail(VKCLIP_EINVALID,
                              "%s: cannot be written, expected a .safetensors or .gguf file or a "
                              "folder",
                              output);
    if (!gguf && (type == VKCLIP_TYPE_Q8 || type == VKCLIP_TYPE_Q4))
        return error_fail(VKCLIP_EINVALID, "%s: q8 and q4 are types of .gguf files", output);
    if (gguf && type == VKCLIP_TYPE_BF16)
        return error_fail(VKCLIP_EINVALID, "%s: bf16 is a type of .safetensors files", output);
    return VKCLIP_OK;
}

/* A new string: the folder that a file lies in. */
static char *folder_of(const char *path)
{
    size_t length = strlen(path);
    while (length && path[length - 1] != '/' && path[length - 1] != '\\')
        length--;
    return length ? string_format("%.*s", (int)length, path) : string_format(".");
}

static int name_output(struct conversion *c, const char *output)
{
    const bool gguf = string_ends_with(output, ".gguf"),
               file = gguf || string_ends_with(output, ".safetensors");
    int error = check_type(output, c->params->type, gguf);
    if (error)
        return error;
    c->form = gguf                                   ? WEIGHTS_GGUF
              : c->config.family == VKCLIP_FAMILY_HF ? WEIGHTS_HF
                                                     : WEIGHTS_OPENAI;
    c->beside.folder = file ? folder_of(output) : string_format("%s", output);
    c->path = file ? string_format("%s", output)
                   : string_format("%s/%s", output,
                                   c->form == WEIGHTS_HF ? "model.safetensors"
                                                         : "open_clip_model.safetensors");
    if (!c->beside.folder || !c->path)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", output);
    if (!file && file_exists(output))
        return error_fail(VKCLIP_EINVALID,
                          "%s: is a file, expected a .safetensors or .gguf file or a folder",
                          output);
    if (file && folder_exists(output))
        return error_fail(VKCLIP_EINVALID, "%s: is a folder, expected a file of that name", output);
    if (weights_reads(c->weights, c->path))
        return error_fail(VKCLIP_EINVALID, "%s: is what the checkpoint is read from", c->path);
    if (file || folder_exists(output))
        return VKCLIP_OK;
    error = folder_make(output);
    c->beside.made_folder = !error;
    return error;
}

/* ---- What is in it --------------------------------------------------------------------------- */

/* Whether a tower that is there uses the tensor. */
static bool is_wanted(const struct config *config, enum weights_form form, const char *name)
{
    if (string_begins_with(name, "visual."))
        return config->image.kind && (config->image.projection || strcmp(name, "visual.proj") != 0);
    if (!strcmp(name, "text_projection"))
        return config->text.kind && config->text.projection;
    if (string_begins_with(name, "transformer.") || string_begins_with(name, "token_embedding.") ||
        string_begins_with(name, "ln_final.") || !strcmp(name, "positional_embedding"))
        return config->text.kind;
    return !strcmp(name, "logit_scale") && form != WEIGHTS_GGUF;
}

static const enum dtype dtypes[] = {[VKCLIP_TYPE_F16] = DTYPE_F16,
                                    [VKCLIP_TYPE_F32] = DTYPE_F32,
                                    [VKCLIP_TYPE_BF16] = DTYPE_BF16,
                                    [VKCLIP_TYPE_Q8] = DTYPE_Q8_0,
                                    [VKCLIP_TYPE_Q4] = DTYPE_Q4_0};

/* The type of a tensor: the matrices and the token table get the one asked for, as --weights has
 * it, and where its blocks do not go into the rows, or clip.cpp takes no blocks, fp16. */
static enum dtype choose_type(const struct conversion *c, const char *name,
                              const struct weights_stored *stored)
{
    enum dtype dtype = dtypes[c->params->type];
    unsigned block = dtype_block(dtype).elements;
    if (stored->rank < 2 || string_ends_with(name, "positional_embedding"))
        return DTYPE_F32;
    if (block > 1 && (stored->rank > 2 || stored->shape[1] % block))
        return DTYPE_F16;
    return dtype == DTYPE_Q4_0 && graph_packed_type(TYPE_Q4, name) == TYPE_Q8 ? DTYPE_Q8_0 : dtype;
}

static void describe(const struct conversion *c, struct piece *piece)
{
    struct tensor_view *view = &piece->view;
    const struct weights_stored *stored = &piece->stored;
    uint64_t elements = 1;
    *view = (struct tensor_view){
        .name = stored->name, .dtype = choose_type(c, piece->name, stored), .rank = stored->rank};
    memcpy(view->shape, stored->shape, sizeof(view->shape));
    for (unsigned i = 0; i < stored->rank; i++)
        elements *= stored->shape[i];
    struct dtype_block block = dtype_block(view->dtype);
    view->size = elements / block.elements * block.bytes;
}

/* Wide types first, which keeps all of them aligned in safetensors. */
static int by_type(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    size_t x_size = dtype_size(x->view.dtype), y_size = dtype_size(y->view.dtype);
    return x_size != y_size ? (x_size < y_size) - (x_size > y_size)
                            : strcmp(x->stored.name, y->stored.name);
}

static int list_pieces(struct conversion *c)
{
    size_t capacity = 0;
    const char *name;
    while (weights_name(c->weights, capacity))
        capacity++;
    c->pieces = calloc(3 * capacity + 1, sizeof(*c->pieces));
    c->views = calloc(3 * capacity + 1, sizeof(*c->views));
    if (!c->pieces || !c->views)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of tensors");
    for (size_t i = 0; (name = weights_name(c->weights, i)); i++) {
        int error = is_wanted(&c->config, c->form, name) ? VKCLIP_OK : VKCLIP_EABSENT;
        for (unsigned part = 0; !error; part++) {
            struct piece *piece = &c->pieces[c->count];
            error = weights_store_as(c->weights, name, c->form, part, &piece->stored);
            if (error)
                break;
            piece->name = name;
            describe(c, piece);
            c->total += piece->view.size;
            c->count++;
        }
        if (error != VKCLIP_EABSENT)
            return error;
    }
    qsort(c->pieces, c->count, sizeof(*c->pieces), by_type);
    for (size_t i = 0; i < c->count; i++)
        c->views[i] = c->pieces[i].view;
    return VKCLIP_OK;
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* `count` values as the file has them. False where one is too large for the type. */
static bool store(enum dtype dtype, const float *values, uint64_t count, uint8_t *to)
{
    const struct dtype_block block = dtype_block(dtype);
    bool finite = true;
    for (uint64_t i = 0; i < count; i += block.elements, to += block.bytes) {
        struct quant_block packed;
        uint16_t half =
            dtype == DTYPE_BF16 ? bfloat_from_float(values[i]) : half_from_float(values[i]);
        if (dtype == DTYPE_F32) {
            memcpy(to, &values[i], sizeof(float));
        } else if (block.elements == 1) {
            const uint16_t top = dtype == DTYPE_BF16 ? 0x7f80 : 0x7c00;
            finite = finite && (half & top) != top;
            memcpy(to, &half, sizeof(half));
        } else {
            finite &= quant_pack(dtype == DTYPE_Q8_0 ? TYPE_Q8 : TYPE_Q4, &values[i], QUANT_BLOCK,
                                 &packed);
            memcpy(to, &packed.scale, sizeof(packed.scale));
            for (unsigned j = 0; j < QUANT_BLOCK; j++)
                if (dtype == DTYPE_Q8_0)
                    to[2 + j] = (uint8_t)packed.q[j];
                else if (j < QUANT_BLOCK / 2)
                    to[2 + j] =
                        (uint8_t)((packed.q[j] + 8) | (packed.q[j + QUANT_BLOCK / 2] + 8) << 4);
        }
    }
    return finite;
}

/* Rows of a piece in its own orientation. A transposed one is read as a whole: it is small. */
static int read_rows(const struct conversion *c, const struct piece *piece, uint64_t first,
                     uint64_t rows, float *whole, float *out)
{
    const uint64_t width = piece->stored.shape[1], height = piece->stored.shape[0];
    if (!piece->stored.transposed)
        return weights_read(c->weights, piece->name, piece->stored.first + first, rows, out);
    int error = first ? VKCLIP_OK : weights_read(c->weights, piece->name, 0, width, whole);
    for (uint64_t r = 0; r < rows; r++)
        for (uint64_t i = 0; i < width && !error; i++)
            out[r * width + i] = whole[i * height + first + r];
    return error;
}

static int progress(struct conversion *c, uint64_t bytes)
{
    c->done += bytes;
    if (c->params->progress && c->params->progress(c->params->user, c->done, c->total))
        return error_fail(VKCLIP_EINVALID, "%s: stopped by the caller", c->path);
    return VKCLIP_OK;
}

static int write_piece(struct conversion *c, const struct piece *piece, struct file_output *output)
{
    const struct tensor_view *view = &piece->view;
    const struct dtype_block block = dtype_block(view->dtype);
    const uint64_t rows = view->rank ? view->shape[0] : 1;
    const uint64_t length = view->size / block.bytes * block.elements / rows;
    const uint64_t least = length < GROUP_FLOATS ? GROUP_FLOATS / length : 1;
    const uint64_t step = least < rows ? least : rows;
    float *values = malloc(step * length * sizeof(*values));
    float *whole = malloc((piece->stored.transposed ? rows * length : 1) * sizeof(*whole));
    uint8_t *data = malloc(step * length / block.elements * block.bytes);
    int error = values && whole && data ? VKCLIP_OK
                                        : error_fail(VKCLIP_EMEMORY, "%s: out of memory", c->path);
    for (uint64_t row = 0; row < rows && !error; row += step) {
        const uint64_t count = rows - row < step ? rows - row : step;
        const size_t bytes = (size_t)(count * length / block.elements * block.bytes);
        error = read_rows(c, piece, row, count, whole, values);
        if (!error && !store(view->dtype, values, count * length, data))
            error = error_fail(VKCLIP_EUNSUPPORTED,
                               "%s: tensor %s has values that %s does not hold: use f32%s",
                               weights_path(c->weights), piece->name, dtype_name(view->dtype),
                               c->form == WEIGHTS_GGUF ? "" : " or bf16");
        error = error ? error : file_output_write(output, data, bytes);
        error = error ? error : progress(c, bytes);
    }
    free(values);
    free(whole);
    free(data);
    return error;
}

static int give_piece(void *user, const struct tensor_view *tensor, struct file_output *output)
{
    struct conversion *c = user;
    return write_piece(c, &c->pieces[tensor - c->views], output);
}

/* ---- GGUF ------------------------------------------------------------------------------------ */

static bool same_vocabulary(const struct vocabulary *a, const struct vocabulary *b)
{
    bool same = a->count == b->count && a->start == b->start && a->end == b->end;
    for (uint32_t i = 0; same && i <= a->merge_mask; i++) {
        const struct merge *merge = &a->merges[i];
        const struct merge *other =
            merge->rank != UINT32_MAX ? vocabulary_merge(b, merge->left, merge->right) : merge;
        same = other && other->rank == merge->rank && other->joined == merge->joined;
    }
    return same;
}

/* The file has the tokens alone. That the merges follow from them is tried, not believed. */
static int put_vocabulary(struct gguf_head *head, const char *path)
{
    struct vocabulary vocabulary, again = {0};
    struct gguf_head trial = {0};
    struct gguf *file = NULL;
    uint8_t *data = NULL;
    size_t size = 0;
    int error = vocabulary_open(path, &vocabulary);
    if (error)
        return error;
    gguf_put_texts(head, "tokenizer.ggml.tokens", vocabulary.tokens, vocabulary.count);
    gguf_put_texts(&trial, "tokenizer.ggml.tokens", vocabulary.tokens, vocabulary.count);
    error = gguf_finish(&trial, &data, &size);
    error = error ? error : gguf_parse(data, size, path, &file);
    if (!error && (vocabulary_from_gguf(file, &again) || !same_vocabulary(&vocabulary, &again)))
        error = error_fail(VKCLIP_EUNSUPPORTED,
                           "%s: its merges do not follow from its tokens, which is all that "
                           "clip.cpp's GGUF files have: write safetensors",
                           path);
    gguf_close(&file);
    free(data);
    vocabulary_close(&again);
    vocabulary_close(&vocabulary);
    return error;
}

/* The text's end in these files is its largest id. */
static int check_end(const struct config *config)
{
    if (config->text.kind && config->eos_token_id >= 0 &&
        (uint32_t)config->eos_token_id != config->vocabulary - 1)
        return error_fail(
            VKCLIP_EUNSUPPORTED,
            "in clip.cpp's GGUF files texts end at the largest id, %u, and not at %d: "
            "write safetensors",
            config->vocabulary - 1, config->eos_token_id);
    return VKCLIP_OK;
}

/* A value and no tensor: clip.cpp knows none of that name, and some of its versions count them. */
static int put_logit_scale(const struct weights *weights, struct gguf_head *head)
{
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank;
    float value;
    if (!weights_shape(weights, "logit_scale", shape, &rank))
        return VKCLIP_OK;
    int error = weights_read(weights, "logit_scale", 0, 1, &value);
    if (!error)
        gguf_put_number(head, "clip.logit_scale", value);
    return error;
}

static int write_gguf(struct conversion *c)
{
    static const uint8_t zeros[GGUF_ALIGNMENT];
    struct gguf_head head = {0};
    struct file_output output = {0};
    uint8_t *data = NULL;
    size_t size = 0;
    int error = check_end(&c->config);
    error = error ? error : config_write_gguf(&c->config, dtypes[c->params->type], &head);
    error = error ? error : put_logit_scale(c->weights, &head);
    if (!error && c->config.text.kind && c->config.tokenizer_path)
        error = put_vocabulary(&head, c->config.tokenizer_path);
    for (size_t i = 0; i < c->count && !error; i++)
        gguf_put_tensor(&head, &c->views[i]);
    int finished = gguf_finish(&head, &data, &size);
    error = error ? error : finished;
    if (error) {
        free(data);
        return error;
    }
    error = file_output_open(c->path, &output);
    error = error ? error : file_output_write(&output, data, size);
    for (size_t i = 0; i < c->count && !error; i++) {
        error = write_piece(c, &c->pieces[i], &output);
        size_t over = (size_t)(c->views[i].size % GGUF_ALIGNMENT);
        error = error ? error : file_output_write(&output, zeros, over ? GGUF_ALIGNMENT - over : 0);
    }
    free(data);
    return file_output_close(&output, error);
}

/* ---- All together ---------------------------------------------------------------------------- */

static int write_safetensors(struct conversion *c)
{
    static const char *const metadata[] = {"format", "pt", NULL}; /* transformers wants it */
    int error = convert_write_beside(&c->beside, &c->config, c->form);
    error = error
                ? error
                : safetensors_write_streamed(c->path, c->views, c->count, metadata, give_piece, c);
    return error;
}

static int convert(struct conversion *c, const char *output, struct vkclip_conversion *result)
{
    struct file_map map;
    int error = name_output(c, output);
    error = error ? error : list_pieces(c);
    error = error ? error : c->form == WEIGHTS_GGUF ? write_gguf(c) : write_safetensors(c);
    error = error ? error : file_map_open(c->path, &map);
    if (error)
        return error;
    snprintf(result->path, sizeof(result->path), "%s", c->path);
    result->bytes_before = weights_bytes(c->weights);
    result->bytes_after = map.size;
    file_map_close(&map);
    return VKCLIP_OK;
}

int vkclip_convert_model(const char *path, const struct vkclip_model_params *model,
                         const char *output, const struct vkclip_convert_params *params,
                         struct vkclip_conversion *conversion)
{
    static const struct vkclip_model_params no_model;
    static const struct vkclip_convert_params none;
    struct vkclip_conversion unused;
    struct conversion c = {.params = params ? params : &none};
    if (!path || !output || !*output)
        return error_fail(VKCLIP_EINVALID, "vkclip_convert_model: a path and an output expected");
    int error = config_open(path, model ? model : &no_model, &c.config, &c.weights);
    error = error ? error : convert(&c, output, conversion ? conversion : &unused);
    for (size_t i = 0; i < c.count; i++)
        free(c.pieces[i].stored.name);
    free(c.pieces);
    free(c.views);
    free(c.path);
    convert_close_beside(&c.beside, error);
    config_close(&c.config);
    weights_close(&c.weights);
    return error;
}
