/* SPDX-License-Identifier: MIT
 *
 * Reads GGUF files. Refused are version 1, whose counts have other sizes, files for big-endian
 * machines, tensor types that CLIP files do not use, tensors that do not follow one another as the
 * format demands, keys and names that are not printable ASCII of 1 to 512 bytes, arrays nested
 * deeper than four, and more than 65,536 values or tensors. Little-endian hosts only.
 */
#include "format/gguf.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/string.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* CLIP files have about a thousand tensors, short names and no nested arrays. The limits leave room
 * above that and bound the memory and the recursion that a hostile file can cost. The rank is the
 * format's own limit. */
enum { COUNT_MAX = 1 << 16, NAME_MAX_LENGTH = 512, DEPTH_MAX = 4, RANK_MAX = 4 };
/* The format says this where a file has no key general.alignment. */
enum { DEFAULT_ALIGNMENT = 32 };
/* A file's values and its list of tensors are read in pieces of at least this size: a call of the
 * system per piece costs little, and most files need few. */
enum { LOAD_SIZE = 256 << 10 };

static const size_t value_sizes[GGUF_TYPE_COUNT] = {
    [GGUF_U8] = 1,  [GGUF_I8] = 1,   [GGUF_U16] = 2, [GGUF_I16] = 2, [GGUF_U32] = 4, [GGUF_I32] = 4,
    [GGUF_F32] = 4, [GGUF_BOOL] = 1, [GGUF_U64] = 8, [GGUF_I64] = 8, [GGUF_F64] = 8,
};

/* This table gives the types of tensors by their number in the files. */
static const struct {
    uint32_t number;
    enum dtype dtype;
} tensor_types[] = {
    {0, DTYPE_F32},   {1, DTYPE_F16},   {2, DTYPE_Q4_0},  {3, DTYPE_Q4_1},  {6, DTYPE_Q5_0},
    {7, DTYPE_Q5_1},  {8, DTYPE_Q8_0},  {10, DTYPE_Q2_K}, {11, DTYPE_Q3_K}, {12, DTYPE_Q4_K},
    {13, DTYPE_Q5_K}, {14, DTYPE_Q6_K}, {28, DTYPE_F64},  {30, DTYPE_BF16},
};

uint32_t gguf_type_number(enum dtype dtype)
{
    size_t i = 0;
    while (i + 1 < ARRAY_COUNT(tensor_types) && tensor_types[i].dtype != dtype)
        i++;
    return tensor_types[i].number;
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

/* A reader is a position in the file. The first error is kept, and later reads give zeros, so that
 * a series of reads needs one check. */
struct reader {
    const char *path;
    const struct file_map *map;
    const uint8_t *next;
    size_t left;
    size_t loaded; /* bytes from the beginning of the file that are in memory */
    int error;
};

static size_t position(const struct reader *reader)
{
    return (size_t)(reader->next - reader->map->data);
}

/* Loads the file up to the end of the next `size` bytes, and more to be ready for what follows. */
static int load_next(struct reader *reader, size_t size)
{
    const size_t begin = position(reader);
    const size_t enough = LOAD_SIZE > size ? LOAD_SIZE : size;
    if (begin + size <= reader->loaded)
        return VKCLIP_OK;
    const size_t loaded = reader->left - size < enough ? reader->map->size : begin + size + enough;
    int error = file_map_load(reader->map, reader->loaded, loaded - reader->loaded);
    reader->loaded = loaded;
    return error;
}

/* Returns the next `size` bytes, or NULL. `what` names the bytes in the error message. */
static const uint8_t *take_bytes(struct reader *reader, uint64_t size, const char *what)
{
    const uint8_t *bytes = reader->next;
    if (!reader->error && size > reader->left)
        reader->error =
            error_fail(VKCLIP_EFORMAT, "%s: %s: needs %llu bytes, found %zu to the end of the file",
                       reader->path, what, (unsigned long long)size, reader->left);
    if (!reader->error)
        reader->error = load_next(reader, (size_t)size);
    if (reader->error)
        return NULL;
    reader->next += size;
    reader->left -= (size_t)size;
    return bytes;
}

static uint32_t take_u32(struct reader *reader, const char *what)
{
    uint32_t value = 0;
    const uint8_t *bytes = take_bytes(reader, sizeof(value), what);
    if (bytes)
        memcpy(&value, bytes, sizeof(value));
    return value;
}

static uint64_t take_u64(struct reader *reader, const char *what)
{
    uint64_t value = 0;
    const uint8_t *bytes = take_bytes(reader, sizeof(value), what);
    if (bytes)
        memcpy(&value, bytes, sizeof(value));
    return value;
}

/* Reads a key or a tensor's name. Returns a new string, or NULL after an error. */
static char *take_name(struct reader *reader, const char *what)
{
    const uint64_t length = take_u64(reader, what);
    if (!reader->error && (!length || length > NAME_MAX_LENGTH))
        reader->error = error_fail(VKCLIP_EFORMAT, "%s: %s: expected 1 to %d bytes, found %llu",
                                   reader->path, what, NAME_MAX_LENGTH, (unsigned long long)length);
    const uint8_t *bytes = take_bytes(reader, length, what);
    if (!bytes)
        return NULL;
    for (uint64_t i = 0; i < length; i++)
        if (bytes[i] < ' ' || bytes[i] > '~') {
            reader->error = error_fail(VKCLIP_EFORMAT, "%s: %s: byte 0x%02x is not printable ASCII",
                                       reader->path, what, bytes[i]);
            return NULL;
        }
    char *name = string_format("%.*s", (int)length, (const char *)bytes);
    if (!name)
        reader->error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", reader->path);
    return name;
}

static enum gguf_type take_type(struct reader *reader, const char *key)
{
    const uint32_t type = take_u32(reader, key);
    if (!reader->error && type >= GGUF_TYPE_COUNT)
        reader->error = error_fail(VKCLIP_EFORMAT, "%s: %s: expected a type from 0 to %d, found %u",
                                   reader->path, key, GGUF_TYPE_COUNT - 1, type);
    return reader->error ? GGUF_U8 : (enum gguf_type)type;
}

/* ---- Values ---------------------------------------------------------------------------------- */

/* Checks and skips `count` elements of a type, so that the elements can be used later without
 * checks. */
static void check_elements(struct reader *reader, const char *key, enum gguf_type type,
                           uint64_t count, int depth)
{
    const size_t size = value_sizes[type];
    if (size) {
        take_bytes(reader, count > UINT64_MAX / size ? UINT64_MAX : count * size, key);
        return;
    }
    if (type == GGUF_ARRAY && depth == DEPTH_MAX && !reader->error)
        reader->error = error_fail(VKCLIP_EUNSUPPORTED, "%s: %s: arrays nested deeper than %d",
                                   reader->path, key, DEPTH_MAX);
    for (uint64_t i = 0; i < count && !reader->error; i++) {
        if (type == GGUF_STRING) {
            take_bytes(reader, take_u64(reader, key), key);
        } else {
            const enum gguf_type element = take_type(reader, key);
            check_elements(reader, key, element, take_u64(reader, key), depth + 1);
        }
    }
}

/* Reads a key and its value. After an error value->key may be set, and the caller must free it. */
static int read_value(struct reader *reader, struct gguf_value *value)
{
    value->key = take_name(reader, "key");
    if (!value->key)
        return reader->error;
    value->type = value->element = take_type(reader, value->key);
    value->count = 1;
    if (value->type == GGUF_ARRAY) {
        value->element = take_type(reader, value->key);
        value->count = take_u64(reader, value->key);
    }
    value->data = reader->next;
    check_elements(reader, value->key, value->element, value->count, value->type == GGUF_ARRAY);
    if (!reader->error && value->type == GGUF_BOOL && *value->data > 1)
        reader->error = error_fail(VKCLIP_EFORMAT, "%s: %s: expected 0 or 1, found %u",
                                   reader->path, value->key, *value->data);
    return reader->error;
}

static int compare_keys(const void *a, const void *b)
{
    return strcmp(((const struct gguf_value *)a)->key, ((const struct gguf_value *)b)->key);
}

static int read_values(struct gguf *file, struct reader *reader, uint64_t count)
{
    int error = VKCLIP_OK;
    file->values = memory_calloc((size_t)count + 1, sizeof(*file->values));
    if (!file->values)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", file->path);
    while (!error && file->value_count < count)
        error = read_value(reader, &file->values[file->value_count++]);
    if (error)
        return error;
    qsort(file->values, file->value_count, sizeof(*file->values), compare_keys);
    for (size_t i = 1; i < count; i++)
        if (!compare_keys(&file->values[i - 1], &file->values[i]))
            return error_fail(VKCLIP_EFORMAT, "%s: key %s occurs twice", file->path,
                              file->values[i].key);
    return VKCLIP_OK;
}

/* ---- Tensors --------------------------------------------------------------------------------- */

static int read_dtype(struct reader *reader, struct tensor_view *tensor)
{
    const uint32_t number = take_u32(reader, tensor->name);
    if (reader->error)
        return reader->error;
    for (size_t i = 0; i < ARRAY_COUNT(tensor_types); i++)
        if (tensor_types[i].number == number) {
            tensor->dtype = tensor_types[i].dtype;
            return VKCLIP_OK;
        }
    return error_fail(
        VKCLIP_EUNSUPPORTED,
        "%s: %s: tensor type %u is not supported, expected F32, F16, BF16, F64, Q4_0, "
        "Q4_1, Q5_0, Q5_1, Q8_0, or Q2_K to Q6_K",
        reader->path, tensor->name, number);
}

static int read_shape(struct reader *reader, struct tensor_view *tensor)
{
    tensor->rank = take_u32(reader, tensor->name);
    if (reader->error)
        return reader->error;
    if (tensor->rank > RANK_MAX)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: expected at most %d dimensions, found %u",
                          reader->path, tensor->name, RANK_MAX, tensor->rank);
    for (unsigned i = tensor->rank; i--;) /* The files begin with the fastest dimension. */
        tensor->shape[i] = take_u64(reader, tensor->name);
    return reader->error;
}

/* Sets the tensor's number of bytes from its shape and type. */
static int set_size(const char *path, struct tensor_view *tensor)
{
    const struct dtype_block block = dtype_block(tensor->dtype);
    const uint64_t row = tensor->rank ? tensor->shape[tensor->rank - 1] : 1;
    uint64_t count = 1;
    for (unsigned i = 0; i < tensor->rank; i++) {
        if (!tensor->shape[i] || tensor->shape[i] > INT64_MAX / count / block.bytes)
            return error_fail(VKCLIP_EFORMAT, "%s: %s: shape is empty or overflows 64 bits", path,
                              tensor->name);
        count *= tensor->shape[i];
    }
    if (row % block.elements)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: %s needs rows of a multiple of %u, found %llu",
                          path, tensor->name, dtype_name(tensor->dtype), block.elements,
                          (unsigned long long)row);
    tensor->size = count / block.elements * block.bytes;
    return VKCLIP_OK;
}

/* Checks that a tensor begins where the data of the previous tensors end, and moves *end to the end
 * of the tensor. Offsets count from the beginning of all data. */
static int check_offset(const char *path, const struct tensor_view *tensor, uint64_t offset,
                        uint32_t alignment, uint64_t *end)
{
    if (offset != *end)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: expected data at offset %llu, found %llu", path,
                          tensor->name, (unsigned long long)*end, (unsigned long long)offset);
    if (tensor->size > INT64_MAX - *end - alignment)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: data of all tensors overflow 64 bits", path,
                          tensor->name);
    *end += (tensor->size + alignment - 1) / alignment * alignment;
    return VKCLIP_OK;
}

static int read_tensor(struct reader *reader, uint32_t alignment, uint64_t *end, uint64_t *offset,
                       struct tensor_view *tensor)
{
    tensor->name = take_name(reader, "tensor name");
    if (!tensor->name)
        return reader->error;
    int error = read_shape(reader, tensor);
    if (!error)
        error = read_dtype(reader, tensor);
    if (!error) {
        *offset = take_u64(reader, tensor->name);
        error = reader->error;
    }
    if (!error)
        error = set_size(reader->path, tensor);
    if (!error)
        error = check_offset(reader->path, tensor, *offset, alignment, end);
    return error;
}

static int read_alignment(const struct gguf *file, uint32_t *alignment)
{
    const struct gguf_value *value = gguf_find(file, "general.alignment");
    uint64_t number = DEFAULT_ALIGNMENT;
    if (value && (!gguf_read_integer(value, &number) || number < 8 || number > 1 << 16 ||
                  (number & (number - 1))))
        return error_fail(VKCLIP_EFORMAT,
                          "%s: general.alignment: expected a power of two from 8 to 65536",
                          file->path);
    *alignment = (uint32_t)number;
    return VKCLIP_OK;
}

/* Points every tensor to its data. The reader must be at the place where all data begin. */
static int place_tensors(struct gguf *file, const struct reader *reader, const uint64_t *offsets)
{
    for (size_t i = 0; i < file->count; i++) {
        struct tensor_view *tensor = &file->tensors[i];
        if (offsets[i] > reader->left || tensor->size > reader->left - offsets[i])
            return error_fail(VKCLIP_EFORMAT,
                              "%s: %s: needs %llu bytes from %llu on, found data of %zu: truncated",
                              file->path, tensor->name, (unsigned long long)tensor->size,
                              (unsigned long long)offsets[i], reader->left);
        tensor->data = reader->next + offsets[i];
    }
    return VKCLIP_OK;
}

static int check_tensor_names(const struct gguf *file)
{
    for (size_t i = 1; i < file->count; i++)
        if (!strcmp(file->tensors[i - 1].name, file->tensors[i].name))
            return error_fail(VKCLIP_EFORMAT, "%s: tensor %s occurs twice", file->path,
                              file->tensors[i].name);
    return VKCLIP_OK;
}

static int read_tensors(struct gguf *file, struct reader *reader, uint64_t count)
{
    uint32_t alignment = DEFAULT_ALIGNMENT;
    uint64_t end = 0;
    file->tensors = memory_calloc((size_t)count + 1, sizeof(*file->tensors));
    uint64_t *offsets = memory_calloc((size_t)count + 1, sizeof(*offsets));
    int error = read_alignment(file, &alignment);
    if (!error && (!file->tensors || !offsets))
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", file->path);
    for (; !error && file->count < count; file->count++)
        error = read_tensor(reader, alignment, &end, &offsets[file->count],
                            &file->tensors[file->count]);
    const size_t header = position(reader);
    if (!error && count) {
        take_bytes(reader, (alignment - header % alignment) % alignment, "padding before the data");
        error = reader->error;
    }
    if (!error)
        error = place_tensors(file, reader, offsets);
    memory_free(offsets);
    if (!error) {
        tensor_view_sort(file->tensors, file->count);
        error = check_tensor_names(file);
    }
    return error;
}

static int parse_file(struct gguf *file, const struct file_map *map)
{
    struct reader reader = {.path = file->path, .map = map, .next = map->data, .left = map->size};
    const uint8_t *magic = take_bytes(&reader, 4, "header");
    const uint32_t version = take_u32(&reader, "header");
    const uint64_t tensors = take_u64(&reader, "header"), values = take_u64(&reader, "header");
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
    if (!error)
        error = read_tensors(file, &reader, tensors);
    return error;
}

/* ---- Opening --------------------------------------------------------------------------------- */

bool gguf_is_file(const struct file_source *source)
{
    char magic[4];
    size_t size = sizeof(magic);
    return file_source_begin(source, magic, &size) && size == sizeof(magic) &&
           !memcmp(magic, "GGUF", sizeof(magic));
}

static int create_file(const char *name, struct gguf **file)
{
    *file = memory_calloc(1, sizeof(**file));
    if (*file)
        (*file)->path = string_format("%s", name);
    if (*file && (*file)->path)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
}

int gguf_open(const char *path, struct gguf **file)
{
    const struct file_source source = file_source_path(path);
    return gguf_open_source(&source, file);
}

int gguf_open_source(const struct file_source *source, struct gguf **file)
{
    int error = create_file(source->name, file);
    if (!error)
        error = file_map_hold(source, &(*file)->map);
    if (!error)
        error = parse_file(*file, &(*file)->map);
    for (size_t i = 0; !error && i < (*file)->count; i++)
        (*file)->tensors[i].map = &(*file)->map;
    if (error)
        gguf_close(file);
    return error;
}

int gguf_parse(const uint8_t *data, size_t size, const char *name, struct gguf **file)
{
    const struct file_map memory = {.data = data, .size = size};
    int error = create_file(name, file);
    if (!error)
        error = parse_file(*file, &memory);
    if (error)
        gguf_close(file);
    return error;
}

void gguf_close(struct gguf **file)
{
    if (!file || !*file)
        return;
    for (size_t i = 0; i < (*file)->value_count; i++)
        memory_free((*file)->values[i].key);
    for (size_t i = 0; i < (*file)->count; i++)
        memory_free((char *)(*file)->tensors[i].name);
    memory_free((*file)->values);
    memory_free((*file)->tensors);
    file_map_close(&(*file)->map);
    memory_free((*file)->path);
    memory_free(*file);
    *file = NULL;
}

/* ---- What the values are --------------------------------------------------------------------- */

static int compare_key(const void *key, const void *value)
{
    return strcmp(key, ((const struct gguf_value *)value)->key);
}

const struct gguf_value *gguf_find(const struct gguf *file, const char *key)
{
    return bsearch(key, file->values, file->value_count, sizeof(*file->values), compare_key);
}

static bool is_integer(enum gguf_type type)
{
    return type != GGUF_ARRAY && type != GGUF_STRING && type != GGUF_BOOL && type != GGUF_F32 &&
           type != GGUF_F64;
}

static bool is_signed(enum gguf_type type)
{
    return type == GGUF_I8 || type == GGUF_I16 || type == GGUF_I32 || type == GGUF_I64;
}

bool gguf_read_integer(const struct gguf_value *value, uint64_t *number)
{
    uint8_t bytes[8] = {0};
    if (!value || !is_integer(value->type))
        return false;
    const size_t size = value_sizes[value->type];
    memcpy(bytes, value->data, size);
    if (is_signed(value->type) && bytes[size - 1] & 0x80)
        return false;
    memcpy(number, bytes, sizeof(bytes));
    return true;
}

bool gguf_read_bool(const struct gguf_value *value, bool *truth)
{
    if (!value || value->type != GGUF_BOOL)
        return false;
    *truth = *value->data;
    return true;
}

bool gguf_read_number(const struct gguf_value *value, uint64_t index, double *number)
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

bool gguf_is_text(const struct gguf_value *value, const char *text)
{
    size_t length;
    if (!value || value->type != GGUF_STRING)
        return false;
    const uint8_t *cursor = value->data;
    const char *found = gguf_next_text(&cursor, &length);
    return length == strlen(text) && !memcmp(found, text, length);
}

const char *gguf_next_text(const uint8_t **cursor, size_t *length)
{
    uint64_t size;
    memcpy(&size, *cursor, sizeof(size));
    const uint8_t *text = *cursor + sizeof(size);
    *cursor = text + size;
    *length = (size_t)size;
    return (const char *)text;
}
