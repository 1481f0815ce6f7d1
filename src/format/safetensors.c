/* SPDX-License-Identifier: MIT
 *
 * Reads and writes safetensors files. The reader refuses what the reference library refuses (gaps
 * and overlaps, sizes that do not follow from their shapes), and also headers that have more than
 * 8 MiB outside of strings, ranks above 8 and names above 512 bytes. The format is little-endian,
 * and so must the host be.
 */
#include "format/safetensors.h"
#include "base/dump.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/string.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* A hostile file makes gigabytes of JSON values from a header of 100 MB. Strings take no more
 * memory than their bytes, and those of the metadata may name a million inputs of vkclip embed.
 * What is not in strings is limited: 8 MiB of it describe 50,000 tensors, more than any CLIP model
 * has. */
#define STRUCTURE_MAX (8u << 20)
/* Names of CLIP models have less than 100 bytes; longer ones would make messages unreadable. */
#define NAME_MAX_LENGTH 512

/* ---- Reading --------------------------------------------------------------------------------- */

/* Reads a JSON integer. Returns false if the value is no integer, or negative. */
static bool read_size(const json_t *value, uint64_t *size)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *size = (uint64_t)json_integer_value(value);
    return true;
}

static int parse_shape(const char *path, const json_t *shape, struct tensor_view *tensor)
{
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || rank > TENSOR_MAX_RANK)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: expected a shape of at most %d sizes, found %s",
                          path, tensor->name, TENSOR_MAX_RANK,
                          json_is_array(shape) ? "more" : "none");
    uint64_t size = dtype_size(tensor->dtype);
    for (size_t i = 0; i < rank; i++) {
        uint64_t *dim = &tensor->shape[i];
        if (!read_size(json_array_get(shape, i), dim))
            return error_fail(VKCLIP_EFORMAT,
                              "%s: %s: shape holds something other than integers from 0 up", path,
                              tensor->name);
        if (*dim && size > UINT64_MAX / *dim)
            return error_fail(VKCLIP_EFORMAT, "%s: %s: the shape's size overflows 64 bits", path,
                              tensor->name);
        size *= *dim;
    }
    tensor->rank = (unsigned)rank;
    tensor->size = size;
    return VKCLIP_OK;
}

/* Finds a type by its name. Returns false if safetensors has no such type, as it has none of those
 * that only GGUF files have. */
static bool find_dtype(const char *name, enum dtype *dtype)
{
    for (int i = 0; i < DTYPE_COUNT; i++)
        if (dtype_size((enum dtype)i) && !strcmp(dtype_name((enum dtype)i), name)) {
            *dtype = (enum dtype)i;
            return true;
        }
    return false;
}

/* Reads data_offsets of a tensor. `data` and `size` are the data of the whole file. */
static int parse_data(const char *path, const json_t *offsets, const uint8_t *data, uint64_t size,
                      struct tensor_view *tensor)
{
    uint64_t begin = 0, end = 0;
    if (json_array_size(offsets) != 2 || !read_size(json_array_get(offsets, 0), &begin) ||
        !read_size(json_array_get(offsets, 1), &end))
        return error_fail(VKCLIP_EFORMAT, "%s: %s: data_offsets is not two integers from 0 up",
                          path, tensor->name);
    if (begin > end || end > size)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: %s: data_offsets [%llu, %llu] lie outside the %llu bytes of data "
                          "(truncated file?)",
                          path, tensor->name, (unsigned long long)begin, (unsigned long long)end,
                          (unsigned long long)size);
    if (end - begin != tensor->size)
        return error_fail(
            VKCLIP_EFORMAT,
            "%s: %s: expected %llu bytes by shape and dtype, found %llu by data_offsets", path,
            tensor->name, (unsigned long long)tensor->size, (unsigned long long)(end - begin));
    tensor->data = data + begin;
    return VKCLIP_OK;
}

static int parse_tensor(const char *path, const json_t *entry, const uint8_t *data, uint64_t size,
                        struct tensor_view *tensor)
{
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    if (!dtype)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: %s: expected an object with dtype, shape and data_offsets", path,
                          tensor->name);
    if (!find_dtype(dtype, &tensor->dtype))
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: %s: dtype %.32s is not supported", path,
                          tensor->name, dtype);
    int error = parse_shape(path, json_object_get(entry, "shape"), tensor);
    if (!error)
        error = parse_data(path, json_object_get(entry, "data_offsets"), data, size, tensor);
    return error;
}

static int check_metadata(const char *path, json_t *metadata)
{
    const char *key;
    json_t *value;
    bool good = json_is_object(metadata) || json_is_null(metadata);
    json_object_foreach (metadata, key, value)
        good = good && json_is_string(value);
    return good ? VKCLIP_OK
                : error_fail(VKCLIP_EFORMAT, "%s: __metadata__ is not a map of strings", path);
}

static int compare_data(const void *a, const void *b)
{
    const struct tensor_view *x = a, *y = b;
    if (x->data != y->data)
        return (const uint8_t *)x->data < (const uint8_t *)y->data ? -1 : 1;
    return (x->size > y->size) - (x->size < y->size);
}

/* Checks that every byte of the data belongs to exactly one tensor. Leaves the tensors sorted by
 * the position of their data. */
static int check_coverage(struct safetensors *file, const uint8_t *data, const uint8_t *end)
{
    if (file->count)
        qsort(file->tensors, file->count, sizeof(*file->tensors), compare_data);
    for (size_t i = 0; i < file->count; i++) {
        const struct tensor_view *tensor = &file->tensors[i];
        const uint8_t *begin = tensor->data;
        if (begin != data)
            return error_fail(VKCLIP_EFORMAT, "%s: %s: its data %s", file->path, tensor->name,
                              begin < data ? "overlaps another tensor's" : "follows a gap");
        data += tensor->size;
    }
    if (data != end)
        return error_fail(VKCLIP_EFORMAT, "%s: %llu bytes after the last tensor", file->path,
                          (unsigned long long)(end - data));
    return VKCLIP_OK;
}

/* Allocates the list of tensors and the memory of their names, and of those in the metadata. */
static int allocate_tensors(struct safetensors *file, json_t *header)
{
    const char *key;
    json_t *entry, *metadata = json_object_get(header, "__metadata__");
    size_t names = 0;
    json_object_foreach (metadata, key, entry)
        names += strlen(key) + 1;
    json_object_foreach (header, key, entry) {
        size_t length = strlen(key);
        if (!length || length > NAME_MAX_LENGTH)
            return error_fail(VKCLIP_EFORMAT,
                              "%s: expected tensor names of 1 to %d bytes, found one of %zu",
                              file->path, NAME_MAX_LENGTH, length);
        names += length + 1;
    }
    file->tensors = memory_calloc(json_object_size(header) + json_object_size(metadata) + 1,
                                  sizeof(*file->tensors));
    file->names = memory_alloc(names + 1);
    if (!file->tensors || !file->names)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for its header", file->path);
    return VKCLIP_OK;
}

/* Adds the tensors that Python's save_model leaves out because they share the memory of another
 * one, to whose name the metadata then map theirs. */
static void add_shared(struct safetensors *file, json_t *metadata, char *name)
{
    const size_t count = file->count;
    const char *key;
    json_t *value;
    json_object_foreach (metadata, key, value) {
        const struct tensor_view *kept =
            tensor_view_find(file->tensors, count, json_string_value(value));
        if (!kept || !*key || strlen(key) > NAME_MAX_LENGTH ||
            tensor_view_find(file->tensors, count, key))
            continue;
        struct tensor_view *shared = &file->tensors[file->count++];
        *shared = *kept;
        shared->name = strcpy(name, key);
        name += strlen(key) + 1;
    }
    tensor_view_sort(file->tensors, file->count);
}

static int parse_tensors(struct safetensors *file, json_t *header, const uint8_t *data, size_t size)
{
    const char *key;
    json_t *entry;
    int error = allocate_tensors(file, header);
    if (error)
        return error;
    char *name = file->names;
    json_object_foreach (header, key, entry) {
        if (!strcmp(key, "__metadata__")) {
            error = check_metadata(file->path, entry);
        } else {
            struct tensor_view *tensor = &file->tensors[file->count++];
            tensor->name = strcpy(name, key);
            name += strlen(key) + 1;
            error = parse_tensor(file->path, entry, data, size, tensor);
        }
        if (error)
            return error;
    }
    error = check_coverage(file, data, data + size);
    tensor_view_sort(file->tensors, file->count);
    if (!error)
        add_shared(file, json_object_get(header, "__metadata__"), name);
    return error;
}

/* Reads the first eight bytes, which say the length of the header, and loads the header. */
static int load_header(const struct file_map *map, const char *name, size_t *result)
{
    const uint8_t *data = map->data;
    const size_t size = map->size;
    uint64_t length = 0;
    int error = file_map_load(map, 0, size < 9 ? size : 9);
    if (error)
        return error;
    for (int i = 7; i >= 0 && size >= 8; i--)
        length = length << 8 | data[i];
    if (size < 8 || length > size - 8)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: expected a safetensors header of %llu bytes, found a file of %zu "
                          "(truncated, or not safetensors)",
                          name, (unsigned long long)length, size);
    if (length > SAFETENSORS_HEADER_MAX || length < 2 || data[8] != '{')
        return error_fail(
            VKCLIP_EFORMAT,
            "%s: expected a safetensors header of 2 to %u bytes that begins with '{', "
            "found %llu bytes that begin with 0x%02x",
            name, SAFETENSORS_HEADER_MAX, (unsigned long long)length, length ? data[8] : 0);
    *result = (size_t)length;
    return file_map_load(map, 0, 8 + length);
}

/* Checks how many bytes of the header are outside of strings, to which their quotes belong. */
static int check_structure(const char *name, const uint8_t *header, size_t length)
{
    size_t outside = 0;
    bool string = false;
    for (size_t i = 0; i < length; i++) {
        const bool quote = header[i] == '"';
        outside += quote || !string;
        if (string && header[i] == '\\')
            i++; /* A quote that is escaped does not end the string. */
        string = string != quote;
    }
    if (outside <= STRUCTURE_MAX)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EFORMAT,
                      "%s: expected at most %u bytes of a safetensors header outside of strings, "
                      "found %zu",
                      name, STRUCTURE_MAX, outside);
}

static int parse_file(struct safetensors *file, const struct file_map *map)
{
    const uint8_t *data = map->data;
    json_error_t problem;
    size_t length = 0;
    int error = load_header(map, file->path, &length);
    if (!error)
        error = check_structure(file->path, data + 8, length);
    if (error)
        return error;
    file->header = (const char *)data + 8;
    file->header_size = length;
    json_t *header = json_loadb(file->header, length, JSON_REJECT_DUPLICATES, &problem);
    if (!header)
        return error_fail(VKCLIP_EFORMAT, "%s: safetensors header: %s (byte %d)", file->path,
                          problem.text, problem.position);
    error = parse_tensors(file, header, data + 8 + length, map->size - 8 - length);
    json_decref(header);
    return error;
}

bool safetensors_is_file(const struct file_source *source)
{
    uint8_t start[9];
    size_t size = sizeof(start);
    uint64_t length;
    if (!file_source_begin(source, start, &size) || size < sizeof(start))
        return false;
    memcpy(&length, start, sizeof(length));
    return length >= 2 && length <= SAFETENSORS_HEADER_MAX && start[8] == '{';
}

static int create_file(const char *name, struct safetensors **file)
{
    *file = memory_calloc(1, sizeof(**file));
    if (*file)
        (*file)->path = string_format("%s", name);
    if (*file && (*file)->path)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
}

int safetensors_parse(const uint8_t *data, size_t size, const char *name, struct safetensors **file)
{
    const struct file_map memory = {.data = data, .size = size};
    int error = create_file(name, file);
    if (!error)
        error = parse_file(*file, &memory);
    if (error)
        safetensors_close(file);
    return error;
}

int safetensors_open(const char *path, struct safetensors **file)
{
    const struct file_source source = file_source_path(path);
    return safetensors_open_source(&source, file);
}

int safetensors_open_source(const struct file_source *source, struct safetensors **file)
{
    int error = create_file(source->name, file);
    if (!error)
        error = file_map_hold(source, &(*file)->map);
    if (!error)
        error = parse_file(*file, &(*file)->map);
    for (size_t i = 0; !error && i < (*file)->count; i++)
        (*file)->tensors[i].map = &(*file)->map;
    if (error)
        safetensors_close(file);
    return error;
}

const struct tensor_view *safetensors_find(const struct safetensors *file, const char *name)
{
    return tensor_view_find(file->tensors, file->count, name);
}

char *safetensors_metadata(const struct safetensors *file, const char *key)
{
    json_t *header = json_loadb(file->header, file->header_size, 0, NULL);
    const char *text =
        json_string_value(json_object_get(json_object_get(header, "__metadata__"), key));
    char *copy = text ? string_format("%s", text) : NULL;
    json_decref(header);
    return copy;
}

void safetensors_close(struct safetensors **file)
{
    if (!file || !*file)
        return;
    file_map_close(&(*file)->map);
    memory_free((*file)->tensors);
    memory_free((*file)->names);
    memory_free((*file)->path);
    memory_free(*file);
    *file = NULL;
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Makes the header's entry of a tensor whose data begin at `begin`. Returns NULL if the tensor's
 * size does not follow from its shape. */
static json_t *describe_tensor(const struct tensor_view *tensor, uint64_t begin)
{
    uint64_t size = dtype_size(tensor->dtype);
    json_t *shape = json_array();
    for (unsigned i = 0; i < tensor->rank && i < TENSOR_MAX_RANK; i++) {
        size *= tensor->shape[i];
        json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
    }
    if (tensor->rank > TENSOR_MAX_RANK || size != tensor->size) {
        json_decref(shape);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(tensor->dtype), "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)(begin + size));
}

static int describe_metadata(const char *path, const char *const *metadata, json_t *header)
{
    json_t *map = json_object();
    int error = VKCLIP_OK;
    for (; metadata[0]; metadata += 2)
        if (json_object_set_new(map, metadata[0], json_string(metadata[1])))
            error = error_fail(VKCLIP_EINVALID, "%s: metadata is not UTF-8", path);
    json_object_set_new(header, "__metadata__", map);
    return error;
}

static int describe_tensors(const char *path, const struct tensor_view *tensors, size_t count,
                            json_t *header)
{
    uint64_t begin = 0;
    for (size_t i = 0; i < count; i++) {
        const char *name = tensors[i].name;
        if (!name || json_object_get(header, name) ||
            json_object_set_new(header, name, describe_tensor(&tensors[i], begin)))
            return error_fail(VKCLIP_EINVALID,
                              "%s: tensor %zu (%s) cannot be written: its name must be new and "
                              "UTF-8, its size that of its shape",
                              path, i, name ? name : "no name");
        begin += tensors[i].size;
    }
    return VKCLIP_OK;
}

/* Builds the header as text, padded so that the data after it begin at a multiple of 8 bytes. */
static int build_header(const char *path, const struct tensor_view *tensors, size_t count,
                        const char *const *metadata, char **text)
{
    json_t *header = json_object();
    char *json = NULL;
    int error = metadata ? describe_metadata(path, metadata, header) : VKCLIP_OK;
    *text = NULL;
    if (!error)
        error = describe_tensors(path, tensors, count, header);
    if (!error)
        json = dump_json(header, JSON_COMPACT);
    if (json && strlen(json) > SAFETENSORS_HEADER_MAX)
        error = error_fail(VKCLIP_EUNSUPPORTED,
                           "%s: not written, its header would have %zu bytes, and readers of "
                           "safetensors take %u at most",
                           path, strlen(json), SAFETENSORS_HEADER_MAX);
    if (!error && json)
        *text = string_format("%s%*s", json, (int)(-strlen(json) & 7), "");
    if (!error && !*text)
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    memory_free(json);
    json_decref(header);
    return error;
}

int safetensors_write_streamed(const char *path, const struct tensor_view *tensors, size_t count,
                               const char *const *metadata, safetensors_data_fn *write_data,
                               void *user)
{
    struct file_output output;
    char *header = NULL;
    uint8_t length[8];
    int error = build_header(path, tensors, count, metadata, &header);
    if (error)
        return error;
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)((uint64_t)strlen(header) >> 8 * i);
    error = file_output_open(path, &output);
    if (!error)
        error = file_output_write(&output, length, sizeof(length));
    if (!error)
        error = file_output_write(&output, header, strlen(header));
    for (size_t i = 0; i < count && !error; i++) {
        const uint64_t end = output.size + tensors[i].size;
        error = write_data(user, &tensors[i], &output);
        if (!error && output.size != end)
            error = error_fail(VKCLIP_EINVALID,
                               "%s: tensor %s: the number of bytes written is not its size", path,
                               tensors[i].name);
    }
    memory_free(header);
    return file_output_close(&output, error);
}

static int write_data(void *user, const struct tensor_view *tensor, struct file_output *output)
{
    uint8_t piece[32 << 10];
    int error = VKCLIP_OK;
    (void)user;
    if (!tensor->map)
        return file_output_write(output, tensor->data, (size_t)tensor->size);
    for (uint64_t offset = 0; !error && offset < tensor->size; offset += sizeof(piece)) {
        const uint64_t left = tensor->size - offset;
        const size_t size = left < sizeof(piece) ? (size_t)left : sizeof(piece);
        error = tensor_view_copy(tensor, offset, size, piece);
        if (!error)
            error = file_output_write(output, piece, size);
    }
    return error;
}

int safetensors_write(const char *path, const struct tensor_view *tensors, size_t count,
                      const char *const *metadata)
{
    return safetensors_write_streamed(path, tensors, count, metadata, write_data, NULL);
}
