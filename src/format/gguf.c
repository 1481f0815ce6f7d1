/* SPDX-License-Identifier: MIT
 *
 * Reading GGUF. Refuses version 1 (other sizes), files for big-endian machines, tensor types that
 * CLIP files do not use, tensors that do not follow one another as the format wants, arrays nested
 * deeper than four, and more than 65,536 values or tensors. Little-endian hosts only.
 */
#include "format/gguf.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT_MAX = 1 << 16, NAME_MAX_LENGTH = 512, DEPTH_MAX = 4, RANK_MAX = 4 };

static const size_t value_sizes[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
    [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

/* Tensor types by their number in the files. */
static const struct tensor_type {
    uint32_t number;
    enum dtype dtype;
} tensor_types[] = {
    {0, DTYPE_F32},  {1, DTYPE_F16},  {2, DTYPE_Q4_0}, {3, DTYPE_Q4_1},  {6, DTYPE_Q5_0},
    {7, DTYPE_Q5_1}, {8, DTYPE_Q8_0}, {28, DTYPE_F64}, {30, DTYPE_BF16},
};

/* ---- Parsing --------------------------------------------------------------------------------- */

/* What is left of the file. The first error sticks, reads then give zeros. */
struct reader {
    const char *path;
    const uint8_t *begin, *at;
    size_t left;
    int error;
};

/* The next `size` bytes; NULL behind the end of the file. */
static const uint8_t *take(struct reader *reader, uint64_t size, const char *what)
{
    const uint8_t *at = reader->at;
    if (!reader->error && size > reader->left)
        reader->error =
            error_fail(VKCLIP_EFORMAT, "%s: %s: needs %llu bytes, found %zu to the end of the file",
                       reader->path, what, (unsigned long long)size, reader->left);
    if (reader->error)
        return NULL;
    reader->at += size;
    reader->left -= (size_t)size;
    return at;
}

static uint32_t take_u32(struct reader *reader, const char *what)
{
    uint32_t value = 0;
    const uint8_t *data = take(reader, sizeof(value), what);
    if (data)
        memcpy(&value, data, sizeof(value));
    return value;
}

static uint64_t take_u64(struct reader *reader, const char *what)
{
    uint64_t value = 0;
    const uint8_t *data = take(reader, sizeof(value), what);
    if (data)
        memcpy(&value, data, sizeof(value));
    return value;
}

/* A key or a tensor's name, a new string; NULL on error. */
static char *take_name(struct reader *reader, const char *what)
{
    uint64_t length = take_u64(reader, what);
    if (!reader->error && (!length || length > NAME_MAX_LENGTH))
        reader->error = error_fail(VKCLIP_EFORMAT, "%s: %s: expected 1 to %d bytes, found %llu",
                                   reader->path, what, NAME_MAX_LENGTH, (unsigned long long)length);
    const uint8_t *data = take(reader, length, what);
    for (uint64_t i = 0; data && i < length; i++)
        if (data[i] < ' ' || data[i] > '~') {
            reader->error = error_fail(VKCLIP_EFORMAT, "%s: %s: byte 0x%02x is not printable ASCII",
                                       reader->path, what, data[i]);
            return NULL;
        }
    char *name = data ? string_format("%.*s", (int)length, (const char *)data) : NULL;
    if (data && !name)
        reader->error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", reader->path);
    return name;
}

static enum gguf_type take_type(struct reader *reader, const char *key)
{
    uint32_t type = take_u32(reader, key);
    if (!reader->error && type >= GGUF_TYPE_COUNT)
        reader->error = error_fail(VKCLIP_EFORMAT, "%s: %s: expected a type from 0 to %d, found %u",
                                   reader->path, key, GGUF_TYPE_COUNT - 1, type);
    return reader->error ? GGUF_U8 : (enum gguf_type)type;
}

/* Goes over `count` values of a type, so that who looks at them later needs no bounds. */
static void skip_values(struct reader *reader, const char *key, enum gguf_type type, uint64_t count,
                        int depth)
{
    size_t size = value_sizes[type];
    if (size) {
        take(reader, count > UINT64_MAX / size ? UINT64_MAX : count * size, key);
        return;
    }
    if (type == GGUF_ARRAY && depth == DEPTH_MAX && !reader->error)
        reader->error = error_fail(VKCLIP_EUNSUPPORTED, "%s: %s: arrays nested deeper than %d",
                                   reader->path, key, DEPTH_MAX);
    for (uint64_t i = 0; i < count && !reader->error; i++) {
        if (type == GGUF_STRING) {
            take(reader, take_u64(reader, key), key);
        } else {
            enum gguf_type element = take_type(reader, key);
            skip_values(reader, key, element, take_u64(reader, key), depth + 1);
        }
    }
}

static int read_value(struct reader *reader, struct gguf_value *value)
{
    if (!(value->key = take_name(reader, "key")))
        return reader->error;
    value->type = value->element = take_type(reader, value->key);
    value->count = 1;
    if (value->type == GGUF_ARRAY) {
        value->element = take_type(reader, value->key);
        value->count = take_u64(reader, value->key);
    }
    value->data = reader->at;
    skip_values(reader, value->key, value->element, value->count, value->type == GGUF_ARRAY);
    if (!reader->error && value->type == GGUF_BOOL && *value->data > 1)
        reader->error = error_fail(VKCLIP_EFORMAT, "%s: %s: expected 0 or 1, found %u",
                                   reader->path, value->key, *value->data);
    return reader->error;
}

static int read_type(struct reader *reader, struct tensor_view *tensor)
{
    uint32_t number = take_u32(reader, tensor->name);
    for (size_t i = 0; i < ARRAY_COUNT(tensor_types); i++)
        if (tensor_types[i].number == number) {
            tensor->dtype = tensor_types[i].dtype;
            return reader->error;
        }
    return error_fail(
        VKCLIP_EUNSUPPORTED,
        "%s: %s: tensor type %u is not supported, expected F32, F16, BF16, F64, Q4_0, "
        "Q4_1, Q5_0, Q5_1 or Q8_0",
        reader->path, tensor->name, number);
}

/* Bytes of the tensor, by its shape and type. */
static int measure(const char *path, struct tensor_view *tensor)
{
    struct dtype_block block = dtype_block(tensor->dtype);
    uint64_t row = tensor->rank ? tensor->shape[tensor->rank - 1] : 1, count = 1;
    for (unsigned i = 0; i < tensor->rank; i++) {
        if (!tensor->shape[i] || tensor->shape[i] > INT64_MAX / count / block.bytes)
            return error_fail(VKCLIP_EFORMAT, "%s: %s: shape is empty or overflows 64 bits", path,
                              tensor->name);
        count *= tensor->shape[i];
    }
    if (row % block.elements)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: %s wants rows of a multiple of %u, found %llu",
                          path, tensor->name, dtype_name(tensor->dtype), block.elements,
                          (unsigned long long)row);
    tensor->size = count / block.elements * block.bytes;
    return VKCLIP_OK;
}

/* `*end` is where the data so far end, from the beginning of all data on. */
static int read_tensor(struct reader *reader, uint32_t alignment, uint64_t *end, uint64_t *offset,
                       struct tensor_view *tensor)
{
    if (!(tensor->name = take_name(reader, "tensor name")))
        return reader->error;
    tensor->rank = take_u32(reader, tensor->name);
    if (!reader->error && tensor->rank > RANK_MAX)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: expected at most %d dimensions, found %u",
                          reader->path, tensor->name, RANK_MAX, tensor->rank);
    for (unsigned i = tensor->rank; !reader->error && i--;) /* the fastest one comes first */
        tensor->shape[i] = take_u64(reader, tensor->name);
    int error = reader->error ? reader->error : read_type(reader, tensor);
    *offset = take_u64(reader, tensor->name);
    error = error ? error : reader->error ? reader->error : measure(reader->path, tensor);
    if (error)
        return error;
    if (*offset != *end)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: expected data at offset %llu, found %llu",
                          reader->path, tensor->name, (unsigned long long)*end,
                          (unsigned long long)*offset);
    if (tensor->size > INT64_MAX - *end - alignment)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: data of all tensors overflow 64 bits",
                          reader->path, tensor->name);
    *end += (tensor->size + alignment - 1) / alignment * alignment;
    return VKCLIP_OK;
}

static int by_key(const void *a, const void *b)
{
    return strcmp(((const struct gguf_value *)a)->key, ((const struct gguf_value *)b)->key);
}

static int read_values(struct gguf *file, struct reader *reader, uint64_t count)
{
    if (!(file->values = calloc((size_t)count + 1, sizeof(*file->values))))
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", file->path);
    for (; file->value_count < count; file->value_count++) {
        int error = read_value(reader, &file->values[file->value_count]);
        if (error) {
            free(file->values[file->value_count].key);
            return error;
        }
    }
    qsort(file->values, file->value_count, sizeof(*file->values), by_key);
    for (size_t i = 1; i < count; i++)
        if (!by_key(&file->values[i - 1], &file->values[i]))
            return error_fail(VKCLIP_EFORMAT, "%s: key %s is there twice", file->path,
                              file->values[i].key);
    return VKCLIP_OK;
}

static int read_alignment(const struct gguf *file, uint32_t *alignment)
{
    const struct gguf_value *value = gguf_find(file, "general.alignment");
    uint64_t number = 32;
    if (value && (!gguf_integer(value, &number) || number < 8 || number > 1 << 16 ||
                  (number & (number - 1))))
        return error_fail(VKCLIP_EFORMAT,
                          "%s: general.alignment: expected a power of two from 8 to 65536",
                          file->path);
    *alignment = (uint32_t)number;
    return VKCLIP_OK;
}

static int read_tensors(struct gguf *file, struct reader *reader, uint64_t count)
{
    uint32_t alignment = 32;
    uint64_t end = 0, *offsets = NULL;
    int error = read_alignment(file, &alignment);
    if (error)
        return error;
    file->tensors = calloc((size_t)count + 1, sizeof(*file->tensors));
    offsets = calloc((size_t)count + 1, sizeof(*offsets));
    if (!file->tensors || !offsets) {
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", file->path);
        goto done;
    }
    for (; file->count < count && !error; file->count++)
        error = read_tensor(reader, alignment, &end, &offsets[file->count],
                            &file->tensors[file->count]);
    size_t header = (size_t)(reader->at - reader->begin);
    if (!error && count)
        take(reader, (alignment - header % alignment) % alignment, "padding before the data");
    error = error ? error : reader->error;
    for (size_t i = 0; !error && i < count; i++) {
        struct tensor_view *tensor = &file->tensors[i];
        if (offsets[i] > reader->left || tensor->size > reader->left - offsets[i])
            error =
                error_fail(VKCLIP_EFORMAT,
                           "%s: %s: needs %llu bytes from %llu on, found data of %zu: truncated",
                           file->path, tensor->name, (unsigned long long)tensor->size,
                           (unsigned long long)offsets[i], reader->left);
        else
            tensor->data = reader->at + offsets[i];
    }
    if (error)
        goto done;
    tensor_view_sort(file->tensors, file->count);
    for (size_t i = 1; i < count && !error; i++)
        if (!strcmp(file->tensors[i - 1].name, file->tensors[i].name))
            error = error_fail(VKCLIP_EFORMAT, "%s: tensor %s is there twice", file->path,
                               file->tensors[i].name);
done:
    free(offsets);
    return error;
}

static int parse(struct gguf *file, const uint8_t *data, size_t size)
{
    struct reader reader = {file->path, data, data, size, VKCLIP_OK};
    const uint8_t *magic = take(&reader, 4, "header");
    uint32_t version = take_u32(&reader, "header");
    uint64_t tensors = take_u64(&reader, "header"), values = take_u64(&reader, "header");
    if (reader.error)
        return reader.error;
    if (memcmp(magic, "GGUF", 4))
        return error_fail(VKCLIP_EFORMAT, "%s: does not begin with \"GGUF\"", file->path);
    if (version != 2 && version != 3)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: GGUF version %u%s, expected 2 or 3", file->path,
                          version,
                          version && !(version & 0xFFFF) ? ", for big-endian machines" : "");
    if (tensors > COUNT_MAX || values > COUNT_MAX)
        return error_fail(VKCLIP_EFORMAT, "%s: expected at most %d tensors and values, found %llu",
                          file->path, COUNT_MAX,
                          (unsigned long long)(tensors > values ? tensors : values));
    int error = read_values(file, &reader, values);
    return error ? error : read_tensors(file, &reader, tensors);
}

/* ---- Opening --------------------------------------------------------------------------------- */

bool gguf_is(const char *path)
{
    char magic[4] = "";
    FILE *file = file_exists(path) ? fopen(path, "rb") : NULL;
    bool is = file && fread(magic, sizeof(magic), 1, file) == 1 && !memcmp(magic, "GGUF", 4);
    if (file)
        fclose(file);
    return is;
}

static int create(const char *name, struct gguf **file)
{
    *file = calloc(1, sizeof(**file));
    if (*file && ((*file)->path = string_format("%s", name)))
        return VKCLIP_OK;
    gguf_close(file);
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
}

int gguf_open(const char *path, struct gguf **file)
{
    int error = create(path, file);
    error = error ? error : file_map_open(path, &(*file)->map);
    error = error ? error : parse(*file, (*file)->map.data, (*file)->map.size);
    if (error)
        gguf_close(file);
    return error;
}

int gguf_parse(const uint8_t *data, size_t size, const char *name, struct gguf **file)
{
    int error = create(name, file);
    if (error)
        return error;
    error = parse(*file, data, size);
    if (error)
        gguf_close(file);
    return error;
}

void gguf_close(struct gguf **file)
{
    if (!file || !*file)
        return;
    for (size_t i = 0; i < (*file)->value_count; i++)
        free((*file)->values[i].key);
    for (size_t i = 0; i < (*file)->count; i++)
        free((char *)(*file)->tensors[i].name);
    free((*file)->values);
    free((*file)->tensors);
    file_map_close(&(*file)->map);
    free((*file)->path);
    free(*file);
    *file = NULL;
}

/* ---- Values ---------------------------------------------------------------------------------- */

static int key_of(const void *key, const void *value)
{
    return strcmp(key, ((const struct gguf_value *)value)->key);
}

const struct gguf_value *gguf_find(const struct gguf *file, const char *key)
{
    return bsearch(key, file->values, file->value_count, sizeof(*file->values), key_of);
}

bool gguf_integer(const struct gguf_value *value, uint64_t *number)
{
    uint8_t bytes[8] = {0};
    if (!value || value->type == GGUF_ARRAY || value->type == GGUF_STRING ||
        value->type == GGUF_BOOL || value->type == GGUF_F32 || value->type == GGUF_F64)
        return false;
    size_t size = value_sizes[value->type];
    bool is_signed = value->type == GGUF_I8 || value->type == GGUF_I16 || value->type == GGUF_I32 ||
                     value->type == GGUF_I64;
    memcpy(bytes, value->data, size);
    if (is_signed && bytes[size - 1] & 0x80)
        return false;
    memcpy(number, bytes, sizeof(bytes));
    return true;
}

bool gguf_bool(const struct gguf_value *value, bool *truth)
{
    if (!value || value->type != GGUF_BOOL)
        return false;
    *truth = *value->data;
    return true;
}

bool gguf_number(const struct gguf_value *value, uint64_t index, double *number)
{
    float single;
    if (!value || index >= value->count ||
        (value->element != GGUF_F32 && value->element != GGUF_F64))
        return false;
    const uint8_t *data = value->data + index * value_sizes[value->element];
    if (value->element == GGUF_F64) {
        memcpy(number, data, sizeof(*number));
    } else {
        memcpy(&single, data, sizeof(single));
        *number = single;
    }
    return true;
}

const char *gguf_text(const uint8_t **at, size_t *length)
{
    uint64_t size;
    memcpy(&size, *at, sizeof(size));
    const uint8_t *text = *at + sizeof(size);
    *at = text + size;
    *length = (size_t)size;
    return (const char *)text;
}

uint32_t gguf_type_number(enum dtype dtype)
{
    size_t i = 0;
    while (i + 1 < ARRAY_COUNT(tensor_types) && tensor_types[i].dtype != dtype)
        i++;
    return tensor_types[i].number;
}
