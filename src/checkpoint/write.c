/* SPDX-License-Identifier: MIT
 *
 * Lists the file's tensors first, because a file may store a canonical tensor as several parts
 * (Hugging Face's q, k and v) or transposed. Each canonical tensor is then read once for all of its
 * parts.
 */
#include "checkpoint/write.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/string.h"
#include "base/turns.h"
#include "checkpoint/beside.h"
#include "checkpoint/write_config.h"
#include "format/safetensors.h"
#include "model/tensors.h"

#include <stdio.h>
#include <string.h>

#define NO_TENSOR SIZE_MAX

/* ---- The file of weights --------------------------------------------------------------------- */

/* Describes a tensor of the file, and the canonical tensor that it is a part of, or the two of
 * which it is made. */
struct stored_part {
    struct names_part stored;
    size_t tensor, second; /* `second` follows after `tensor`; NO_TENSOR: there is none */
};

struct weights_writer {
    const struct checkpoint_source *source;
    struct stored_part *parts;
    struct tensor_view *views; /* [count], views of the parts */
    size_t count, capacity;
    float *values; /* of canonical tensor number `in_memory` */
    float *row;    /* one row of a transposed part */
    size_t in_memory;
};

static int open_writer(struct weights_writer *writer, const struct checkpoint_source *source)
{
    uint64_t largest = 1;
    *writer = (struct weights_writer){.source = source, .in_memory = NO_TENSOR};
    for (size_t i = 0; i < source->count; i++) {
        const uint64_t elements = tensors_elements(&source->tensors[i]);
        largest = elements > largest ? elements : largest;
    }
    writer->values = memory_alloc(largest * sizeof(float));
    writer->row = memory_alloc(largest * sizeof(float));
    if (!writer->values || !writer->row)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a checkpoint");
    return VKCLIP_OK;
}

static void close_writer(struct weights_writer *writer)
{
    for (size_t i = 0; i < writer->count; i++)
        memory_free(writer->parts[i].stored.name);
    memory_free(writer->parts);
    memory_free(writer->views);
    memory_free(writer->values);
    memory_free(writer->row);
}

/* Adds a part to the list. Takes ownership of its name. */
static int add_part(struct weights_writer *writer, const struct stored_part *part)
{
    if (writer->count == writer->capacity) {
        const size_t capacity = writer->capacity ? 2 * writer->capacity : 256;
        void *parts = memory_realloc(writer->parts, capacity * sizeof(*writer->parts));
        writer->parts = parts ? parts : writer->parts;
        void *views = memory_realloc(writer->views, capacity * sizeof(*writer->views));
        writer->views = views ? views : writer->views;
        if (!parts || !views) {
            memory_free(part->stored.name);
            return error_fail(VKCLIP_EMEMORY, "out of memory for a checkpoint");
        }
        writer->capacity = capacity;
    }
    struct tensor_view *view = &writer->views[writer->count];
    *view = (struct tensor_view){.name = part->stored.name,
                                 .dtype = DTYPE_F32,
                                 .rank = part->stored.rank,
                                 .size = sizeof(float)};
    for (unsigned i = 0; i < view->rank; i++) {
        view->shape[i] = part->stored.shape[i];
        view->size *= view->shape[i];
    }
    writer->parts[writer->count++] = *part;
    return VKCLIP_OK;
}

/* Adds a canonical tensor to the part that it is stored in with another one, if that is there.
 * Frees the name of the new part then. */
static bool join_part(struct weights_writer *writer, const struct stored_part *part)
{
    for (size_t i = 0; part->stored.joined && i < writer->count; i++) {
        struct stored_part *first = &writer->parts[i];
        if (strcmp(first->stored.name, part->stored.name) != 0)
            continue;
        first->second = part->stored.rows_before ? part->tensor : first->tensor;
        if (!part->stored.rows_before)
            first->tensor = part->tensor;
        memory_free(part->stored.name);
        return true;
    }
    return false;
}

/* Adds the parts that a file of this form stores for canonical tensor number `tensor`. */
static int add_parts(struct weights_writer *writer, enum names_form form, size_t tensor)
{
    const struct model_tensor *canonical = &writer->source->tensors[tensor];
    const unsigned count = names_count_parts(form, canonical->name);
    int error = VKCLIP_OK;
    for (unsigned i = 0; i < count && !error; i++) {
        struct stored_part part = {.tensor = tensor, .second = NO_TENSOR};
        error = names_find_part(form, canonical->name, canonical->rank, canonical->shape, i,
                                &part.stored);
        if (!error && !join_part(writer, &part))
            error = add_part(writer, &part);
    }
    return error;
}

static int load_tensor(struct weights_writer *writer, size_t tensor)
{
    if (writer->in_memory == tensor)
        return VKCLIP_OK;
    int error = turn_pause();
    if (!error)
        error = writer->source->read(writer->source->user, tensor, writer->values);
    writer->in_memory = error ? NO_TENSOR : tensor;
    return error;
}

static int write_transposed(struct weights_writer *writer, const struct names_part *stored,
                            struct file_output *output)
{
    const uint64_t rows = stored->shape[0], width = stored->shape[1];
    int error = VKCLIP_OK;
    for (uint64_t r = 0; r < rows && !error; r++) {
        for (uint64_t i = 0; i < width; i++)
            writer->row[i] = writer->values[i * rows + r];
        error = file_output_write(output, writer->row, width * sizeof(float));
    }
    return error;
}

/* Writes both canonical tensors, of which the first is in memory. */
static int write_joined(struct weights_writer *writer, const struct stored_part *part,
                        struct file_output *output)
{
    const struct model_tensor *tensors = writer->source->tensors;
    int error = file_output_write(output, writer->values,
                                  tensors_elements(&tensors[part->tensor]) * sizeof(float));
    if (!error)
        error = load_tensor(writer, part->second);
    if (error)
        return error;
    return file_output_write(output, writer->values,
                             tensors_elements(&tensors[part->second]) * sizeof(float));
}

/* Implements safetensors_data_fn. */
static int write_part(void *user, const struct tensor_view *view, struct file_output *output)
{
    struct weights_writer *writer = user;
    const struct stored_part *part = &writer->parts[view - writer->views];
    const struct model_tensor *tensor = &writer->source->tensors[part->tensor];
    int error = load_tensor(writer, part->tensor);
    if (error)
        return error;
    if (part->stored.transposed)
        return write_transposed(writer, &part->stored, output);
    if (part->second != NO_TENSOR)
        return write_joined(writer, part, output);
    const uint64_t row = tensor->rank ? tensors_elements(tensor) / tensor->shape[0] : 1;
    return file_output_write(output, writer->values + part->stored.first_row * row,
                             (size_t)view->size);
}

static int write_weights(const struct checkpoint_source *source, enum names_form form,
                         const char *path)
{
    static const char *const metadata[] = {"format", "pt", NULL}; /* transformers requires it. */
    struct weights_writer writer;
    int error = open_writer(&writer, source);
    for (size_t i = 0; i < source->count && !error; i++)
        error = add_parts(&writer, form, i);
    if (!error)
        error = safetensors_write_streamed(path, writer.views, writer.count, metadata, write_part,
                                           &writer);
    close_writer(&writer);
    return error;
}

/* ---- The folder ------------------------------------------------------------------------------ */

static char *weights_path(const char *folder, enum names_form form)
{
    return string_format("%s/%s", folder,
                         names_is_hugging_face(form) ? "model.safetensors"
                                                     : "open_clip_model.safetensors");
}

int checkpoint_write(const struct checkpoint_source *source, const char *folder)
{
    const enum names_form form = write_config_form(source->config);
    struct beside beside = {.folder = string_format("%s", folder)};
    char *path = weights_path(folder, form);
    int error = VKCLIP_OK;
    if (!beside.folder || !path)
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", folder);
    if (!error)
        error = beside_write(&beside, source->config, form);
    if (!error)
        error = write_weights(source, form, path);
    beside_close(&beside, error);
    memory_free(path);
    return error;
}

/* The small files are written and removed again, since no other check says as surely whether they
 * can be. */
int checkpoint_check_folder(const struct config *config, const char *folder, bool replaces)
{
    const enum names_form form = write_config_form(config);
    struct beside beside = {.folder = string_format("%s", folder)};
    char *path = weights_path(folder, form);
    int error = VKCLIP_OK;
    if (!beside.folder || !path)
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", folder);
    else if (!replaces && file_exists(path))
        error = error_fail(VKCLIP_EINVALID,
                           "%s: is there already and would be replaced: name another folder", path);
    if (!error)
        error = beside_write(&beside, config, form);
    beside_close(&beside, error ? error : VKCLIP_EINVALID);
    memory_free(path);
    return error;
}
