/* SPDX-License-Identifier: MIT
 *
 * Writes a checkpoint as another file: safetensors with fp32, fp16 or bf16 matrices, or clip.cpp's
 * GGUF with fp32, fp16, q8 or q4. Groups of rows are read, converted and written one after the
 * other, so that a conversion needs little memory. Refuses, before anything is written, what the
 * output's format cannot express; a value that is too large for its type ends the conversion when
 * it is read.
 */
#include "checkpoint/convert.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/string.h"
#include "checkpoint/beside.h"
#include "checkpoint/files.h"
#include "checkpoint/open.h"
#include "checkpoint/write_config.h"
#include "format/gguf_write.h"
#include "format/safetensors.h"
#include "graph/quant.h"
#include "model/tensors.h"
#include "text/vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Floats that are read at once, unless one row is longer: a larger group takes more memory, a
 * smaller one more calls. */
#define GROUP_FLOATS ((uint64_t)1 << 20)

/* Describes a tensor of the output, and the tensor of the model that it is a part of, or the two of
 * which it is made. */
struct piece {
    struct names_part part;
    const struct model_tensor *canonical;
    const struct model_tensor *second; /* the rows after those of `canonical`; NULL: none */
    struct tensor_view view;           /* shape and type, without data */
};

struct conversion {
    const struct vkclip_convert_params *params;
    struct config config;
    struct weights *weights;
    enum names_form form;
    struct model_tensor *tensors;
    size_t tensor_count;
    struct piece *pieces;
    struct tensor_view *views; /* views of the pieces, in the order of `pieces` */
    size_t count;
    struct beside beside;
    char *path;
    uint64_t written, total; /* bytes of tensors */
};

/* ---- The output ------------------------------------------------------------------------------ */

static int check_output(const char *output, enum vkclip_type type)
{
    static const char *const others[] = {".pt", ".pth", ".bin", ".onnx", ".json", ".ckpt"};
    const bool gguf = string_ends_with(output, ".gguf");
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

/* Sets the form of the names, the path of the weights and the folder beside them. */
static int name_output(struct conversion *conversion, const char *output, bool is_file)
{
    char folder[FILES_PATH_SIZE];
    const char *name = "open_clip_model.safetensors";
    conversion->form = write_config_form(&conversion->config);
    if (names_is_hugging_face(conversion->form))
        name = "model.safetensors";
    if (string_ends_with(output, ".gguf"))
        conversion->form = NAMES_CLIP_CPP;
    files_folder(output, folder);
    conversion->beside.folder = string_format("%s", is_file ? folder : output);
    conversion->path = is_file ? string_format("%s", output) : string_format("%s/%s", output, name);
    if (!conversion->beside.folder || !conversion->path)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", output);
    return VKCLIP_OK;
}

/* Refuses an output whose name belongs to something that the conversion must not replace. */
static int check_existing(const struct conversion *conversion, const char *output, bool is_file)
{
    if (!is_file && file_exists(output))
        return error_fail(VKCLIP_EINVALID,
                          "%s: is a file, expected a .safetensors or .gguf file or a folder",
                          output);
    if (is_file && folder_exists(output))
        return error_fail(VKCLIP_EINVALID, "%s: is a folder, expected a file of that name", output);
    if (weights_uses_file(conversion->weights, conversion->path))
        return error_fail(VKCLIP_EINVALID, "%s: is what the checkpoint is read from",
                          conversion->path);
    return VKCLIP_OK;
}

static int prepare_output(struct conversion *conversion, const char *output)
{
    const bool is_file =
        string_ends_with(output, ".gguf") || string_ends_with(output, ".safetensors");
    int error = check_output(output, conversion->params->type);
    if (!error)
        error = name_output(conversion, output, is_file);
    if (!error)
        error = check_existing(conversion, output, is_file);
    if (!error && !is_file && !folder_exists(output)) {
        error = folder_make(output);
        conversion->beside.made_folder = !error;
    }
    return error;
}

/* ---- The list of tensors --------------------------------------------------------------------- */

/* Whether the weights have a tensor of the model, and files of this form have it too: clip.cpp's
 * files have no logit_scale. */
static bool is_wanted(const struct conversion *conversion, const struct model_tensor *tensor)
{
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank;
    const bool optional = tensor->flags & TENSOR_OPTIONAL;
    return (!optional || conversion->form != NAMES_CLIP_CPP) &&
           weights_shape(conversion->weights, tensor->name, shape, &rank);
}

static const enum dtype dtypes[] = {[VKCLIP_TYPE_F16] = DTYPE_F16,
                                    [VKCLIP_TYPE_F32] = DTYPE_F32,
                                    [VKCLIP_TYPE_BF16] = DTYPE_BF16,
                                    [VKCLIP_TYPE_Q8] = DTYPE_Q8_0,
                                    [VKCLIP_TYPE_Q4] = DTYPE_Q4_0};

/* Returns the requested type for matrices and the token table, with the exceptions that weights
 * have which are packed at load. A row that is not a whole number of blocks, or a tensor that
 * clip.cpp reads only unquantised, gets fp16. */
static enum dtype choose_dtype(enum vkclip_type type, const struct model_tensor *canonical,
                               const struct names_part *part)
{
    const enum dtype dtype = dtypes[type];
    const unsigned block = dtype_block(dtype).elements;
    if (part->rank < 2 || string_ends_with(canonical->name, "positional_embedding") ||
        string_ends_with(canonical->name, "pos_embed"))
        return DTYPE_F32;
    if (block > 1 && (part->rank > 2 || part->shape[1] % block))
        return DTYPE_F16;
    if (dtype == DTYPE_Q4_0 && (canonical->flags & TENSOR_DELICATE))
        return DTYPE_Q8_0;
    return dtype;
}

static struct tensor_view describe_part(const struct names_part *part, enum dtype dtype)
{
    const struct dtype_block block = dtype_block(dtype);
    struct tensor_view view = {.name = part->name, .dtype = dtype, .rank = part->rank};
    uint64_t elements = 1;
    memcpy(view.shape, part->shape, sizeof(view.shape));
    for (unsigned i = 0; i < part->rank; i++)
        elements *= part->shape[i];
    view.size = elements / block.elements * block.bytes;
    return view;
}

/* Adds a canonical tensor to the piece that it is stored in with another one, if that is there.
 * Frees the name of the new piece then. */
static bool join_piece(struct conversion *conversion, const struct model_tensor *canonical,
                       const struct names_part *part)
{
    for (size_t i = 0; part->joined && i < conversion->count; i++) {
        struct piece *piece = &conversion->pieces[i];
        if (strcmp(piece->part.name, part->name) != 0)
            continue;
        piece->second = part->rows_before ? canonical : piece->canonical;
        if (!part->rows_before)
            piece->canonical = canonical;
        memory_free(part->name);
        return true;
    }
    return false;
}

static int add_pieces(struct conversion *conversion, const struct model_tensor *canonical)
{
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank;
    weights_shape(conversion->weights, canonical->name, shape, &rank);
    const unsigned parts = names_count_parts(conversion->form, canonical->name);
    for (unsigned i = 0; i < parts; i++) {
        struct piece *piece = &conversion->pieces[conversion->count];
        int error =
            names_find_part(conversion->form, canonical->name, rank, shape, i, &piece->part);
        if (error)
            return error;
        if (join_piece(conversion, canonical, &piece->part)) {
            *piece = (struct piece){0};
            continue;
        }
        piece->canonical = canonical;
        piece->view = describe_part(
            &piece->part, choose_dtype(conversion->params->type, canonical, &piece->part));
        conversion->total += piece->view.size;
        conversion->count++;
    }
    return VKCLIP_OK;
}

/* Puts wide types first, which keeps all tensors aligned in safetensors. */
static int compare_pieces(const void *a, const void *b)
{
    const struct piece *x = a, *y = b;
    const size_t x_size = dtype_size(x->view.dtype), y_size = dtype_size(y->view.dtype);
    if (x_size != y_size)
        return x_size < y_size ? 1 : -1;
    return strcmp(x->part.name, y->part.name);
}

static int list_pieces(struct conversion *conversion)
{
    int error = tensors_list(&conversion->config, &conversion->tensors, &conversion->tensor_count);
    if (error)
        return error;
    const size_t most = 3 * conversion->tensor_count; /* query, key and value */
    conversion->pieces = memory_calloc(most, sizeof(*conversion->pieces));
    conversion->views = memory_calloc(most, sizeof(*conversion->views));
    if (!conversion->pieces || !conversion->views)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of tensors");
    for (size_t i = 0; i < conversion->tensor_count && !error; i++)
        if (is_wanted(conversion, &conversion->tensors[i]))
            error = add_pieces(conversion, &conversion->tensors[i]);
    qsort(conversion->pieces, conversion->count, sizeof(*conversion->pieces), compare_pieces);
    for (size_t i = 0; i < conversion->count; i++)
        conversion->views[i] = conversion->pieces[i].view;
    return error;
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* Encodes a value in fp32, fp16 or bf16. Returns false if the value is too large for the type. */
static bool encode_float(enum dtype dtype, float value, uint8_t *data)
{
    if (dtype == DTYPE_F32) {
        memcpy(data, &value, sizeof(value));
        return true;
    }
    const bool brain = dtype == DTYPE_BF16;
    const uint16_t half = brain ? bfloat_from_float(value) : half_from_float(value);
    const uint16_t infinity = brain ? 0x7f80 : 0x7c00;
    memcpy(data, &half, sizeof(half));
    return (half & infinity) != infinity;
}

/* Encodes a block of Q8_0 or Q4_0. Returns false if its scale is too large for fp16. */
static bool encode_block(enum dtype dtype, const float *values, uint8_t *data)
{
    struct quant_block block;
    const bool finite =
        quant_pack(dtype == DTYPE_Q8_0 ? TYPE_Q8 : TYPE_Q4, values, QUANT_BLOCK, &block);
    memcpy(data, &block.scale, sizeof(block.scale));
    data += sizeof(block.scale);
    if (dtype == DTYPE_Q8_0) {
        memcpy(data, block.q, QUANT_BLOCK);
        return finite;
    }
    for (unsigned i = 0; i < QUANT_BLOCK / 2; i++) {
        const int low = block.q[i] + 8, high = block.q[i + QUANT_BLOCK / 2] + 8;
        data[i] = (uint8_t)(low | high << 4);
    }
    return finite;
}

/* Encodes `count` values in the type of a file. Returns false if one of them is too large for it.
 */
static bool encode_values(enum dtype dtype, const float *values, uint64_t count, uint8_t *data)
{
    const struct dtype_block block = dtype_block(dtype);
    bool finite = true;
    for (uint64_t i = 0; i < count; i += block.elements, data += block.bytes)
        if (!(block.elements == 1 ? encode_float(dtype, values[i], data)
                                  : encode_block(dtype, &values[i], data)))
            finite = false;
    return finite;
}

/* Reads rows of two tensors of which the second follows after the first. */
static int read_joined(const struct conversion *conversion, const struct piece *piece,
                       uint64_t first, uint64_t rows, float *values)
{
    const uint64_t height = piece->canonical->shape[0];
    const uint64_t length = tensor_view_elements(&piece->view) / piece->view.shape[0];
    const uint64_t before = first >= height ? 0 : rows < height - first ? rows : height - first;
    int error = VKCLIP_OK;
    if (before)
        error = weights_read(conversion->weights, piece->canonical->name, first, before, values);
    if (error || before == rows)
        return error;
    return weights_read(conversion->weights, piece->second->name, first + before - height,
                        rows - before, values + before * length);
}

/* Reads rows of a tensor that the model has in other rows. It is small, so all of it is read into
 * `whole` together with the first rows. */
static int read_reshaped(const struct conversion *conversion, const struct piece *piece,
                         uint64_t first, uint64_t rows, float *whole, float *values)
{
    const uint64_t length = tensor_view_elements(&piece->view) / piece->view.shape[0];
    int error = VKCLIP_OK;
    if (!first)
        error = weights_read(conversion->weights, piece->canonical->name, 0,
                             piece->canonical->shape[0], whole);
    if (!error)
        memcpy(values, whole + first * length, rows * length * sizeof(*values));
    return error;
}

/* Reads rows of a piece in the piece's orientation. A transposed tensor is small, so all of it is
 * read into `whole` together with the first rows. */
static int read_rows(const struct conversion *conversion, const struct piece *piece, uint64_t first,
                     uint64_t rows, float *whole, float *values)
{
    const uint64_t height = piece->part.shape[0], width = piece->part.shape[1];
    if (piece->second)
        return read_joined(conversion, piece, first, rows, values);
    if (piece->part.reshaped)
        return read_reshaped(conversion, piece, first, rows, whole, values);
    if (!piece->part.transposed)
        return weights_read(conversion->weights, piece->canonical->name,
                            piece->part.first_row + first, rows, values);
    int error = VKCLIP_OK;
    if (!first)
        error = weights_read(conversion->weights, piece->canonical->name, 0, width, whole);
    for (uint64_t row = 0; row < rows && !error; row++)
        for (uint64_t i = 0; i < width; i++)
            values[row * width + i] = whole[i * height + first + row];
    return error;
}

static int report_progress(struct conversion *conversion, uint64_t bytes)
{
    const struct vkclip_convert_params *params = conversion->params;
    conversion->written += bytes;
    if (params->progress && params->progress(params->user, conversion->written, conversion->total))
        return error_fail(VKCLIP_ECANCELLED, "%s: stopped by the caller", conversion->path);
    return VKCLIP_OK;
}

/* Memory for one group of rows of a piece. */
struct group {
    uint64_t rows, length; /* rows of a full group; floats per row */
    float *values, *whole;
    uint8_t *data;
};

static int open_group(const struct conversion *conversion, const struct piece *piece,
                      struct group *group)
{
    const struct tensor_view *view = &piece->view;
    const struct dtype_block block = dtype_block(view->dtype);
    const uint64_t rows = view->rank ? view->shape[0] : 1, elements = tensor_view_elements(view);
    *group = (struct group){.rows = 1, .length = elements / rows};
    if (group->length < GROUP_FLOATS)
        group->rows = GROUP_FLOATS / group->length;
    if (group->rows > rows)
        group->rows = rows;
    const uint64_t floats = group->rows * group->length;
    group->values = memory_alloc(floats * sizeof(*group->values));
    group->whole = memory_alloc((piece->part.transposed || piece->part.reshaped ? elements : 1) *
                                sizeof(*group->whole));
    group->data = memory_alloc(floats / block.elements * block.bytes);
    if (!group->values || !group->whole || !group->data)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", conversion->path);
    return VKCLIP_OK;
}

static void close_group(struct group *group)
{
    memory_free(group->values);
    memory_free(group->whole);
    memory_free(group->data);
}

static int write_rows(struct conversion *conversion, const struct piece *piece, uint64_t first,
                      uint64_t rows, struct group *group, struct file_output *output)
{
    const struct dtype_block block = dtype_block(piece->view.dtype);
    const uint64_t floats = rows * group->length;
    const size_t bytes = (size_t)(floats / block.elements * block.bytes);
    int error = read_rows(conversion, piece, first, rows, group->whole, group->values);
    if (!error && !encode_values(piece->view.dtype, group->values, floats, group->data))
        error = error_fail(
            VKCLIP_EUNSUPPORTED, "%s: tensor %s has values that %s does not hold: use f32%s",
            weights_path(conversion->weights), piece->canonical->name,
            dtype_name(piece->view.dtype), conversion->form == NAMES_CLIP_CPP ? "" : " or bf16");
    if (!error)
        error = file_output_write(output, group->data, bytes);
    if (!error)
        error = report_progress(conversion, bytes);
    return error;
}

static int write_piece(struct conversion *conversion, const struct piece *piece,
                       struct file_output *output)
{
    const uint64_t rows = piece->view.rank ? piece->view.shape[0] : 1;
    struct group group;
    int error = open_group(conversion, piece, &group);
    for (uint64_t row = 0; row < rows && !error; row += group.rows) {
        const uint64_t left = rows - row, count = left < group.rows ? left : group.rows;
        error = write_rows(conversion, piece, row, count, &group, output);
    }
    close_group(&group);
    return error;
}

/* ---- Safetensors ----------------------------------------------------------------------------- */

/* Implements safetensors_data_fn. */
static int write_data(void *user, const struct tensor_view *tensor, struct file_output *output)
{
    struct conversion *conversion = user;
    return write_piece(conversion, &conversion->pieces[tensor - conversion->views], output);
}

static int write_safetensors(struct conversion *conversion)
{
    static const char *const metadata[] = {"format", "pt", NULL}; /* transformers requires it. */
    int error = beside_write(&conversion->beside, &conversion->config, conversion->form);
    if (!error)
        error = safetensors_write_streamed(conversion->path, conversion->views, conversion->count,
                                           metadata, write_data, conversion);
    return error;
}

/* ---- GGUF ------------------------------------------------------------------------------------ */

static bool is_same_vocabulary(const struct vocabulary *a, const struct vocabulary *b)
{
    bool same = a->count == b->count && a->start == b->start && a->end == b->end;
    for (uint32_t i = 0; same && i <= a->merge_mask; i++) {
        const struct merge *merge = &a->merges[i];
        if (merge->rank == UINT32_MAX) /* The slot of the table is empty. */
            continue;
        const struct merge *other = vocabulary_merge(b, merge->left, merge->right);
        same = other && other->rank == merge->rank && other->joined == merge->joined;
    }
    return same;
}

/* Checks that a reader which has only the tokens derives the same merges from them, by writing them
 * into a file in memory and reading that file. */
static int check_merges(const struct vocabulary *vocabulary, const char *path)
{
    struct vocabulary derived = {0};
    struct gguf_head head = {0};
    struct gguf *file = NULL;
    uint8_t *data = NULL;
    size_t size = 0;
    gguf_put_texts(&head, "tokenizer.ggml.tokens", vocabulary->tokens, vocabulary->count);
    int error = gguf_finish(&head, &data, &size);
    if (!error)
        error = gguf_parse(data, size, path, &file);
    if (!error) {
        error = vocabulary_from_gguf(file, &derived);
        if (error != VKCLIP_EMEMORY && (error || !is_same_vocabulary(vocabulary, &derived)))
            error = error_fail(VKCLIP_EUNSUPPORTED,
                               "%s: its merges do not follow from its tokens, which is all that "
                               "clip.cpp's GGUF files have: write safetensors",
                               path);
    }
    gguf_close(&file);
    memory_free(data);
    vocabulary_close(&derived);
    return error;
}

static int put_vocabulary(struct gguf_head *head, const char *path)
{
    struct vocabulary vocabulary;
    int error = vocabulary_open(path, &vocabulary);
    if (error)
        return error;
    gguf_put_texts(head, "tokenizer.ggml.tokens", vocabulary.tokens, vocabulary.count);
    error = check_merges(&vocabulary, path);
    vocabulary_close(&vocabulary);
    return error;
}

/* Refuses a model whose texts do not end at their largest id, because clip.cpp's files cannot say
 * so. */
static int check_end_of_text(const struct config *config)
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

/* Writes the scale as a value, not as a tensor, because clip.cpp knows no tensor of that name, and
 * some of its versions compare the number of tensors. */
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

/* Builds everything in the file that precedes the data of the tensors. */
static int build_head(const struct conversion *conversion, uint8_t **data, size_t *size)
{
    const struct config *config = &conversion->config;
    struct gguf_head head = {0};
    int error = check_end_of_text(config);
    if (!error)
        error = write_config_clip_cpp(config, dtypes[conversion->params->type], &head);
    if (!error)
        error = put_logit_scale(conversion->weights, &head);
    if (!error && config->text.kind && config->tokenizer_path)
        error = put_vocabulary(&head, config->tokenizer_path);
    for (size_t i = 0; i < conversion->count && !error; i++)
        gguf_put_tensor(&head, &conversion->views[i]);
    /* Even after an error the head must be finished, which frees it. */
    int finished = gguf_finish(&head, data, size);
    if (!error)
        error = finished;
    return error;
}

static int write_gguf(struct conversion *conversion)
{
    static const uint8_t zeros[GGUF_ALIGNMENT];
    struct file_output output = {0};
    uint8_t *head = NULL;
    size_t size = 0;
    int error = build_head(conversion, &head, &size);
    if (!error) {
        error = file_output_open(conversion->path, &output);
        if (!error)
            error = file_output_write(&output, head, size);
        for (size_t i = 0; i < conversion->count && !error; i++) {
            const size_t over = (size_t)(conversion->views[i].size % GGUF_ALIGNMENT);
            error = write_piece(conversion, &conversion->pieces[i], &output);
            if (!error && over)
                error = file_output_write(&output, zeros, GGUF_ALIGNMENT - over);
        }
        error = file_output_close(&output, error);
    }
    memory_free(head);
    return error;
}

/* ---- All together ---------------------------------------------------------------------------- */

static int describe_result(const struct conversion *conversion, struct vkclip_conversion *result)
{
    struct file_map map;
    int error = file_map_open(conversion->path, &map);
    if (error)
        return error;
    snprintf(result->path, sizeof(result->path), "%s", conversion->path);
    result->bytes_before = weights_bytes(conversion->weights);
    result->bytes_after = map.size;
    file_map_close(&map);
    return VKCLIP_OK;
}

int convert_model(const char *path, const struct vkclip_model_params *model, const char *output,
                  const struct vkclip_convert_params *params, struct vkclip_conversion *result)
{
    struct conversion conversion = {.params = params};
    int error = checkpoint_open(path, model, &conversion.config, &conversion.weights);
    if (!error && conversion.config.text.kind == KIND_T5)
        error = error_fail(VKCLIP_EUNSUPPORTED, "%s: is a T5, which is only read, not written",
                           weights_path(conversion.weights));
    if (!error)
        error = prepare_output(&conversion, output);
    if (!error)
        error = list_pieces(&conversion);
    if (!error)
        error = conversion.form == NAMES_CLIP_CPP ? write_gguf(&conversion)
                                                  : write_safetensors(&conversion);
    if (!error)
        error = describe_result(&conversion, result);
    for (size_t i = 0; i < conversion.count; i++)
        memory_free(conversion.pieces[i].part.name);
    memory_free(conversion.pieces);
    memory_free(conversion.tensors);
    memory_free(conversion.views);
    memory_free(conversion.path);
    beside_close(&conversion.beside, error);
    config_close(&conversion.config);
    weights_close(&conversion.weights);
    return error;
}
