/* SPDX-License-Identifier: MIT
 *
 * What a file is follows from what it begins with.
 */
#include "text/vocabulary_source.h"
#include "base/error.h"
#include "base/memory.h"
#include "format/safetensors.h"
#include "format/sentencepiece.h"
#include "text/vocabulary_file.h"

#include <string.h>

enum { FILE_LIMIT = 96 << 20 }; /* bytes of a file, unpacked */

static int parse_json(struct vocabulary_source *source)
{
    size_t start = 0;
    while (start < source->size && source->data[start] && strchr(" \t\r\n", source->data[start]))
        start++;
    if (start == source->size || source->data[start] != '{' ||
        sentencepiece_is_model(source->data, source->size))
        return VKCLIP_OK;
    return vocabulary_file_parse_json(source->path, source->data, source->size, &source->root);
}

/* Copies the tensor with a SentencePiece model. */
static int read_tensor(const struct file_source *from, struct vocabulary_source *source)
{
    static const char name[] = "spiece_model";
    struct safetensors *file = NULL;
    int error = safetensors_open_source(from, &file);
    if (error)
        return error;
    const struct tensor_view *tensor = safetensors_find(file, name);
    if (!tensor || tensor->dtype != DTYPE_U8 || !tensor->size || tensor->size > FILE_LIMIT)
        error = error_fail(VKCLIP_EFORMAT,
                           "%s: no tokenizer in it, which would be a tensor \"%s\" of type U8 and "
                           "at most %d bytes",
                           source->path, name, FILE_LIMIT);
    if (!error) {
        source->size = (size_t)tensor->size;
        source->data = source->owned_data = memory_alloc(source->size + 1);
        if (!source->owned_data)
            error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", source->path);
    }
    if (!error)
        error = tensor_view_copy(tensor, 0, source->size, source->owned_data);
    if (!error)
        source->owned_data[source->size] = 0;
    safetensors_close(&file);
    return error;
}

int vocabulary_source_open(const struct file_source *file, struct vocabulary_source *source)
{
    const bool is_path = file->kind == FILE_SOURCE_PATH;
    int error = VKCLIP_OK;
    *source = (struct vocabulary_source){.path = file->name, .in_memory = !is_path};
    if (gguf_is_file(file)) {
        error = gguf_open_source(file, &source->owned_gguf);
        source->gguf = source->owned_gguf;
        return error;
    }
    if (!is_path || safetensors_is_file(file))
        error = read_tensor(file, source);
    else
        error = vocabulary_file_read(file->name, FILE_LIMIT, &source->owned_data, &source->size);
    source->data = source->owned_data;
    if (!error)
        error = parse_json(source);
    if (error)
        vocabulary_source_close(source);
    return error;
}

int vocabulary_source_view(const void *data, size_t size, const char *name,
                           struct vocabulary_source *source)
{
    *source =
        (struct vocabulary_source){.path = name, .in_memory = true, .data = data, .size = size};
    return parse_json(source);
}

struct vocabulary_source vocabulary_source_gguf(const struct gguf *file)
{
    return (struct vocabulary_source){.path = file->path, .in_memory = true, .gguf = file};
}

void vocabulary_source_close(struct vocabulary_source *source)
{
    json_decref(source->root);
    gguf_close(&source->owned_gguf);
    memory_free(source->owned_data);
    *source = (struct vocabulary_source){0};
}
