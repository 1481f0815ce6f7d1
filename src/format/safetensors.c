/* SPDX-License-Identifier: MIT
 *
 * Reading and writing safetensors. The reader refuses what the reference library refuses (gaps and
 * overlaps, sizes that do not fit their shapes), and headers above 8 MiB, ranks above 8 and names
 * above 512 bytes. Little-endian hosts only, as the format is.
 */
#include "format/safetensors.h"
#include "base/error.h"
#include "base/file.h"
#include "base/half.h"
#include "base/string.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The reference library stops at 100 MB, of which a hostile header makes gigabytes of JSON values.
 * This holds 50,000 tensors. */
#define HEADER_MAX (8u << 20)
#define NAME_MAX_LENGTH 512

static const struct {
    const char *name;
    size_t size;
} dtypes[DTYPE_COUNT] = {
    [DTYPE_F32] = {"F32", 4},   [DTYPE_F16] = {"F16", 2},         [DTYPE_BF16] = {"BF16", 2},
    [DTYPE_F64] = {"F64", 8},   [DTYPE_U8] = {"U8", 1},           [DTYPE_I8] = {"I8", 1},
    [DTYPE_BOOL] = {"BOOL", 1}, [DTYPE_I16] = {"I16", 2},         [DTYPE_U16] = {"U16", 2},
    [DTYPE_I32] = {"I32", 4},   [DTYPE_U32] = {"U32", 4},         [DTYPE_I64] = {"I64", 8},
    [DTYPE_U64] = {"U64", 8},   [DTYPE_F8_E4M3] = {"F8_E4M3", 1}, [DTYPE_F8_E5M2] = {"F8_E5M2", 1},
    [DTYPE_Q4_0] = {"Q4_0", 0}, [DTYPE_Q4_1] = {"Q4_1", 0},       [DTYPE_Q5_0] = {"Q5_0", 0},
    [DTYPE_Q5_1] = {"Q5_1", 0}, [DTYPE_Q8_0] = {"Q8_0", 0},
};

const char *dtype_name(enum dtype dtype)
{
    return (unsigned)dtype < DTYPE_COUNT ? dtypes[dtype].name : "?";
}

size_t dtype_size(enum dtype dtype)
{
    return (unsigned)dtype < DTYPE_COUNT ? dtypes[dtype].size : 0;
}

bool dtype_is_float(enum dtype dtype)
{
    return dtype == DTYPE_F32 || dtype == DTYPE_F16 || dtype == DTYPE_BF16 || dtype == DTYPE_F64;
}

/* Elements are copied out one by one: the format promises no alignment. */
void tensor_floats(const struct tensor_view *tensor, uint64_t first, uint64_t count, float *out)
{
    const uint8_t *data = (const uint8_t *)tensor->data + first * dtype_size(tensor->dtype);
    uint16_t half;
    double wide;
    switch (tensor->dtype) {
    case DTYPE_F32:
        if (count)
            memcpy(out, data, count * sizeof(float));
        break;
    case DTYPE_F16:
        for (uint64_t i = 0; i < count; i++) {
            memcpy(&half, data + 2 * i, sizeof(half));
            out[i] = half_to_float(half);
        }
        break;
    case DTYPE_BF16:
        for (uint64_t i = 0; i < count; i++) {
            memcpy(&half, data + 2 * i, sizeof(half));
            out[i] = bfloat_to_float(half);
        }
        break;
    case DTYPE_F64:
        for (uint64_t i = 0; i < count; i++) {
            memcpy(&wide, data + 8 * i, sizeof(wide));
            out[i] = (float)wide;
        }
        break;
    default:
        for (uint64_t i = 0; i < count; i++)
            out[i] = 0;
    }
}

float tensor_float(const struct tensor_view *tensor, uint64_t index)
{
    float value;
    tensor_floats(tensor, index, 1, &value);
    return value;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* A JSON integer that is not negative. */
static bool get_size(const json_t *value, uint64_t *size)
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
        if (!get_size(json_array_get(shape, i), dim))
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

static int parse_tensor(const char *path, const json_t *entry, const uint8_t *data, uint64_t size,
                        struct tensor_view *tensor)
{
    uint64_t begin = 0, end = 0;
    const char *dtype = json_string_value(json_object_get(entry, "dtype"));
    const json_t *offsets = json_object_get(entry, "data_offsets");
    if (!dtype)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: %s: expected an object with dtype, shape and data_offsets", path,
                          tensor->name);
    while (tensor->dtype < DTYPE_COUNT &&
           (!dtypes[tensor->dtype].size || strcmp(dtypes[tensor->dtype].name, dtype)))
        tensor->dtype++;
    if (tensor->dtype == DTYPE_COUNT)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: %s: dtype %.32s is not supported", path,
                          tensor->name, dtype);
    int error = parse_shape(path, json_object_get(entry, "shape"), tensor);
    if (error)
        return error;
    if (json_array_size(offsets) != 2 || !get_size(json_array_get(offsets, 0), &begin) ||
        !get_size(json_array_get(offsets, 1), &end))
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

static int check_metadata(const char *path, json_t *metadata)
{
    const char *key;
    json_t *value;
    bool good = json_is_object(metadata);
    json_object_foreach (metadata, key, value)
        good = good && json_is_string(value);
    return good ? VKCLIP_OK
                : error_fail(VKCLIP_EFORMAT, "%s: __metadata__ is not a map of strings", path);
}

static int by_data(const void *a, const void *b)
{
    const struct tensor_view *x = a, *y = b;
    if (x->data != y->data)
        return (const uint8_t *)x->data < (const uint8_t *)y->data ? -1 : 1;
    return (x->size > y->size) - (x->size < y->size);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct tensor_view *)a)->name, ((const struct tensor_view *)b)->name);
}

/* Every byte of the data belongs to exactly one tensor. */
static int check_cover(struct safetensors *file, const uint8_t *data, const uint8_t *end)
{
    if (file->count)
        qsort(file->tensors, file->count, sizeof(*file->tensors), by_data);
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
    if (file->count)
        qsort(file->tensors, file->count, sizeof(*file->tensors), by_name);
    return VKCLIP_OK;
}

static int parse_header(struct safetensors *file, json_t *header, const uint8_t *data, size_t size)
{
    const char *key;
    json_t *entry;
    size_t names = 0;
    json_object_foreach (header, key, entry) {
        size_t length = strlen(key);
        if (!length || length > NAME_MAX_LENGTH)
            return error_fail(VKCLIP_EFORMAT,
                              "%s: expected tensor names of 1 to %d bytes, found one of %zu",
                              file->path, NAME_MAX_LENGTH, length);
        names += length + 1;
    }
    file->tensors = calloc(json_object_size(header) + 1, sizeof(*file->tensors));
    file->names = malloc(names + 1);
    if (!file->tensors || !file->names)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for its header", file->path);
    char *name = file->names;
    json_object_foreach (header, key, entry) {
        int error;
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
    return check_cover(file, data, data + size);
}

int safetensors_parse(const uint8_t *data, size_t size, const char *name,
                      struct safetensors **result)
{
    int error = VKCLIP_OK;
    uint64_t length = 0;
    json_t *header = NULL;
    json_error_t where;
    *result = NULL;
    struct safetensors *file = calloc(1, sizeof(*file));
    if (!file || !(file->path = string_format("%s", name))) {
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
        goto fail;
    }
    for (int i = 7; i >= 0 && size >= 8; i--)
        length = length << 8 | data[i];
    if (size < 8 || length > size - 8) {
        error = error_fail(VKCLIP_EFORMAT,
                           "%s: expected a safetensors header of %llu bytes, found a file of %zu "
                           "(truncated, or not safetensors)",
                           name, (unsigned long long)length, size);
        goto fail;
    }
    if (length > HEADER_MAX || length < 2 || data[8] != '{') {
        error =
            error_fail(VKCLIP_EFORMAT,
                       "%s: expected a safetensors header of 2 to %u bytes that begins with '{', "
                       "found %llu bytes that begin with 0x%02x",
                       name, HEADER_MAX, (unsigned long long)length, length ? data[8] : 0);
        goto fail;
    }
    header = json_loadb((const char *)data + 8, (size_t)length, JSON_REJECT_DUPLICATES, &where);
    if (!header) {
        error = error_fail(VKCLIP_EFORMAT, "%s: safetensors header: %s (byte %d)", name, where.text,
                           where.position);
        goto fail;
    }
    error = parse_header(file, header, data + 8 + length, size - 8 - (size_t)length);
    if (error)
        goto fail;
    *result = file;
    file = NULL;
fail:
    json_decref(header);
    safetensors_close(&file);
    return error;
}

int safetensors_open(const char *path, struct safetensors **file)
{
    struct file_map map;
    *file = NULL;
    int error = file_map_open(path, &map);
    if (!error)
        error = safetensors_parse(map.data, map.size, path, file);
    if (error)
        file_map_close(&map);
    else
        (*file)->map = map;
    return error;
}

const struct tensor_view *safetensors_find(const struct safetensors *file, const char *name)
{
    struct tensor_view key = {.name = name};
    return file->count ? bsearch(&key, file->tensors, file->count, sizeof(key), by_name) : NULL;
}

void safetensors_close(struct safetensors **file)
{
    if (!file || !*file)
        return;
    file_map_close(&(*file)->map);
    free((*file)->tensors);
    free((*file)->names);
    free((*file)->path);
    free(*file);
    *file = NULL;
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* The header's entry of a tensor whose data begins at `begin`; NULL if it is not whole. */
static json_t *tensor_entry(const struct tensor_view *tensor, uint64_t begin)
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

/* The header as text, padded so that the data behind it begins at a multiple of 8 bytes. */
static int build_header(const char *path, const struct tensor_view *tensors, size_t count,
                        const char *const *metadata, char **text)
{
    int error = VKCLIP_OK;
    uint64_t begin = 0;
    json_t *header = json_object(), *map = NULL;
    char *json = NULL;
    *text = NULL;
    if (metadata) {
        map = json_object();
        for (; metadata[0]; metadata += 2)
            if (json_object_set_new(map, metadata[0], json_string(metadata[1])))
                error = error_fail(VKCLIP_EINVALID, "%s: metadata is not UTF-8", path);
        json_object_set_new(header, "__metadata__", map);
    }
    for (size_t i = 0; !error && i < count; i++) {
        const char *name = tensors[i].name;
        if (!name || json_object_get(header, name) ||
            json_object_set_new(header, name, tensor_entry(&tensors[i], begin)))
            error = error_fail(VKCLIP_EINVALID,
                               "%s: tensor %zu (%s) cannot be written: its name must be new and "
                               "UTF-8, its size that of its shape",
                               path, i, name ? name : "no name");
        begin += tensors[i].size;
    }
    if (!error && (json = json_dumps(header, JSON_COMPACT)))
        *text = string_format("%s%*s", json, (int)(-strlen(json) & 7), "");
    if (!error && !*text)
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    free(json);
    json_decref(header);
    return error;
}

int safetensors_write_by(const char *path, const struct tensor_view *tensors, size_t count,
                         const char *const *metadata, safetensors_give_fn *give, void *user)
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
    error = error ? error : file_output_write(&output, length, sizeof(length));
    error = error ? error : file_output_write(&output, header, strlen(header));
    for (size_t i = 0; i < count && !error; i++) {
        const uint64_t end = output.size + tensors[i].size;
        error = give(user, &tensors[i], &output);
        if (!error && output.size != end)
            error = error_fail(VKCLIP_EINVALID, "%s: tensor %s: not as many bytes as it has", path,
                               tensors[i].name);
    }
    free(header);
    return file_output_close(&output, error);
}

static int give_data(void *user, const struct tensor_view *tensor, struct file_output *output)
{
    (void)user;
    return file_output_write(output, tensor->data, (size_t)tensor->size);
}

int safetensors_write(const char *path, const struct tensor_view *tensors, size_t count,
                      const char *const *metadata)
{
    return safetensors_write_by(path, tensors, count, metadata, give_data, NULL);
}
