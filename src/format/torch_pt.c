/* SPDX-License-Identifier: MIT
 *
 * Reading PyTorch's archives: libzip says where the records lie, torch_pickle.c what the tensors
 * are. State dicts are a dict of tensors, one under the key state_dict (training checkpoints of
 * OpenCLIP), or the modules of a TorchScript archive. Refused: the formats before PyTorch 1.6,
 * compressed, encrypted or overlapping records, names that leave the archive, big-endian files, and
 * everything that a record's size does not bear out. Little-endian hosts only.
 */
#include "format/torch_pt.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"
#include "format/torch_pickle.h"

#include <stdlib.h>
#include <string.h>
#include <zip.h>

#define NAME_MAX_LENGTH 512
#define TENSORS_MAX (1u << 16)
#define MODULES_DEPTH 64
#define VISITS_MAX (1u << 20)

struct record {
    const char *name; /* libzip's */
    zip_uint64_t index;
    uint64_t offset, size;
    bool located;
};

/* The mapping as libzip reads it. It has no call for where a record's bytes begin: this sees where
 * it reads them. */
struct source {
    const uint8_t *data;
    size_t size;
    uint64_t at, read_at;
    zip_error_t error;
};

struct reader {
    struct torch_pt *file;
    const uint8_t *data;
    size_t size;
    struct source source;
    zip_t *zip;
    struct record *records; /* sorted by name */
    size_t count;
    char *folder; /* of data.pkl in the archive, with its '/' */
    size_t capacity, visits;
    uint64_t copied;
};

/* ---- The archive ----------------------------------------------------------------------------- */

static zip_int64_t read_source(void *user, void *data, zip_uint64_t length,
                               zip_source_cmd_t command)
{
    struct source *source = user;
    zip_int64_t at;
    zip_stat_t *stat;
    switch (command) {
    case ZIP_SOURCE_OPEN:
        source->at = 0;
        return 0;
    case ZIP_SOURCE_READ:
        if (length > source->size - source->at)
            length = source->size - source->at;
        memcpy(data, source->data + source->at, length);
        source->read_at = source->at;
        source->at += length;
        return (zip_int64_t)length;
    case ZIP_SOURCE_SEEK:
        at = zip_source_seek_compute_offset(source->at, source->size, data, length, &source->error);
        if (at < 0)
            return -1;
        source->at = (uint64_t)at;
        return 0;
    case ZIP_SOURCE_TELL:
        return (zip_int64_t)source->at;
    case ZIP_SOURCE_STAT:
        stat = data;
        zip_stat_init(stat);
        stat->size = source->size;
        stat->valid = ZIP_STAT_SIZE;
        return sizeof(*stat);
    case ZIP_SOURCE_ERROR:
        return zip_error_to_data(&source->error, data, length);
    case ZIP_SOURCE_SUPPORTS:
        return ZIP_SOURCE_SUPPORTS_SEEKABLE;
    case ZIP_SOURCE_CLOSE:
    case ZIP_SOURCE_FREE:
        return 0;
    default:
        zip_error_set(&source->error, ZIP_ER_OPNOTSUPP, 0);
        return -1;
    }
}

static int out_of_memory(const struct reader *reader)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory", reader->file->path);
}

static int open_zip(struct reader *reader)
{
    zip_error_t error;
    zip_error_init(&error);
    zip_error_init(&reader->source.error);
    reader->source.data = reader->data;
    reader->source.size = reader->size;
    zip_source_t *source = zip_source_function_create(read_source, &reader->source, &error);
    if (source && !(reader->zip = zip_open_from_source(source, ZIP_RDONLY, &error)))
        zip_source_free(source);
    int result = reader->zip ? VKCLIP_OK
                             : error_fail(VKCLIP_EFORMAT, "%s: zip archive: %s (truncated file?)",
                                          reader->file->path, zip_error_strerror(&error));
    zip_error_fini(&error);
    return result;
}

/* Nothing is unpacked, but a name that climbs out of the archive shows what the file is. */
static bool is_safe(const char *name)
{
    if (*name == '/' || strchr(name, '\\'))
        return false;
    for (const char *part = name; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (!strncmp(part, "..", 2) && (!part[2] || part[2] == '/'))
            return false;
    }
    return true;
}

static int by_record_name(const void *a, const void *b)
{
    return strcmp(((const struct record *)a)->name, ((const struct record *)b)->name);
}

static int list_records(struct reader *reader)
{
    const char *path = reader->file->path;
    zip_int64_t count = zip_get_num_entries(reader->zip, 0);
    if (!(reader->records = calloc((size_t)count + 1, sizeof(*reader->records))))
        return out_of_memory(reader);
    for (zip_int64_t i = 0; i < count; i++) {
        struct record *record = &reader->records[i];
        record->index = (zip_uint64_t)i;
        record->name = zip_get_name(reader->zip, record->index, ZIP_FL_ENC_RAW);
        if (!record->name || !is_safe(record->name))
            return error_fail(VKCLIP_EFORMAT, "%s: zip archive: record %.100s: refused by its name",
                              path, record->name ? record->name : "without one");
    }
    reader->count = (size_t)count;
    qsort(reader->records, reader->count, sizeof(*reader->records), by_record_name);
    for (size_t i = 1; i < reader->count; i++)
        if (!strcmp(reader->records[i - 1].name, reader->records[i].name))
            return error_fail(VKCLIP_EFORMAT, "%s: zip archive: record %.100s is there twice", path,
                              reader->records[i].name);
    return VKCLIP_OK;
}

/* PyTorch puts all records into one folder, named as it likes: it is the one of data.pkl. */
static int find_folder(struct reader *reader)
{
    const char *path = reader->file->path, *found = NULL, *model = NULL;
    for (size_t i = 0; i < reader->count; i++) {
        const char *name = reader->records[i].name, *slash = strchr(name, '/');
        const char *base = slash ? slash + 1 : name;
        if (!strcmp(base, "model.json"))
            model = name;
        if (strcmp(base, "data.pkl"))
            continue;
        if (found)
            return error_fail(VKCLIP_EFORMAT, "%s: found %.100s and %.100s, expected one data.pkl",
                              path, found, name);
        found = name;
    }
    if (!found)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: a zip archive without data.pkl: %s, expected what torch.save writes",
                          path,
                          model ? "TorchScript of PyTorch before 1.4" : "not a PyTorch checkpoint");
    reader->folder = string_format("%.*s", (int)(strlen(found) - strlen("data.pkl")), found);
    return reader->folder ? VKCLIP_OK : out_of_memory(reader);
}

/* The record of that name in the folder; NULL where there is none. */
static struct record *find_record(const struct reader *reader, const char *name, size_t length)
{
    char full[NAME_MAX_LENGTH + 1];
    size_t folder = strlen(reader->folder);
    if (folder + length > NAME_MAX_LENGTH || memchr(name, 0, length))
        return NULL;
    memcpy(full, reader->folder, folder);
    memcpy(full + folder, name, length);
    full[folder + length] = 0;
    struct record key = {.name = full};
    return bsearch(&key, reader->records, reader->count, sizeof(key), by_record_name);
}

/* Finds a record's bytes in the mapping. */
static int locate(struct reader *reader, struct record *record)
{
    const char *path = reader->file->path;
    zip_stat_t stat;
    uint8_t first;
    if (record->located)
        return VKCLIP_OK;
    zip_stat_init(&stat);
    if (zip_stat_index(reader->zip, record->index, 0, &stat) || !(stat.valid & ZIP_STAT_SIZE))
        return error_fail(VKCLIP_EFORMAT, "%s: zip archive: record %.100s: %s", path, record->name,
                          zip_strerror(reader->zip));
    if (stat.comp_method != ZIP_CM_STORE || stat.encryption_method != ZIP_EM_NONE)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: zip archive: record %.100s is compressed or encrypted: refused, "
                          "PyTorch stores its records as they are",
                          path, record->name);
    record->located = true;
    if (!(record->size = stat.size))
        return VKCLIP_OK;
    zip_file_t *opened = zip_fopen_index(reader->zip, record->index, 0);
    bool read = opened && zip_fread(opened, &first, 1) == 1;
    record->offset = reader->source.read_at;
    if (opened)
        zip_fclose(opened);
    if (!read || stat.comp_size != stat.size || record->offset > reader->size ||
        record->size > reader->size - record->offset || reader->data[record->offset] != first)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: zip archive: record %.100s: its %llu bytes are not in the file "
                          "(truncated file?)",
                          path, record->name, (unsigned long long)record->size);
    return VKCLIP_OK;
}

static int by_offset(const void *a, const void *b)
{
    const struct record *x = a, *y = b;
    int order = (x->offset > y->offset) - (x->offset < y->offset);
    return order ? order : by_record_name(a, b);
}

/* Run last: it leaves the records in another order. */
static int check_overlaps(struct reader *reader)
{
    const struct record *before = NULL;
    qsort(reader->records, reader->count, sizeof(*reader->records), by_offset);
    for (size_t i = 0; i < reader->count; i++) {
        const struct record *record = &reader->records[i];
        if (!record->size)
            continue;
        if (before && record->offset < before->offset + before->size)
            return error_fail(VKCLIP_EFORMAT, "%s: zip archive: records %.100s and %.100s overlap",
                              reader->file->path, before->name, record->name);
        before = record;
    }
    return VKCLIP_OK;
}

static int check_byteorder(struct reader *reader)
{
    static const char little[] = "little";
    struct record *record = find_record(reader, "byteorder", strlen("byteorder"));
    int error = record ? locate(reader, record) : VKCLIP_OK;
    if (!error && record &&
        (record->size != strlen(little) ||
         memcmp(reader->data + record->offset, little, strlen(little))))
        error =
            error_fail(VKCLIP_EUNSUPPORTED, "%s: byteorder: expected little", reader->file->path);
    return error;
}

/* ---- Tensors --------------------------------------------------------------------------------- */

static bool get_size(const struct pickle_value *value, uint64_t *size)
{
    *size = (uint64_t)value->integer;
    return value->kind == PICKLE_INT && value->integer >= 0;
}

/* Type and shape of the tensor, its strides and first element, and how many elements it spans. */
static int read_shape(const struct reader *reader, const struct pickle_object *object,
                      struct tensor_view *view, uint64_t strides[TENSOR_MAX_RANK], uint64_t *first,
                      uint64_t *span)
{
    const char *path = reader->file->path;
    const struct pickle_value *items = object->items;
    const struct pickle_object *sizes = items[2].object, *steps = items[3].object;
    bool good = get_size(&items[1], first) && sizes->count == steps->count &&
                sizes->count <= TENSOR_MAX_RANK;
    uint64_t last = 0, elements = 1;
    pickle_dtype(&items[0].object->items[1], &view->dtype);
    if (object->count > 6) /* of storages without a type */
        pickle_dtype(&items[6], &view->dtype);
    view->rank = good ? sizes->count : 0;
    /* the file's size bounds every tensor: larger numbers need no arithmetic to be wrong */
    for (unsigned i = 0; good && i < view->rank; i++) {
        good = get_size(&sizes->items[i], &view->shape[i]) &&
               get_size(&steps->items[i], &strides[i]) && view->shape[i] <= reader->size;
        good = good && (!view->shape[i] || elements <= reader->size / view->shape[i]);
        elements *= view->shape[i];
    }
    for (unsigned i = 0; good && elements && i < view->rank; i++)
        if (view->shape[i] > 1) {
            good = strides[i] <= reader->size / (view->shape[i] - 1);
            last += good ? strides[i] * (view->shape[i] - 1) : 0;
        }
    if (!good)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: %s: expected an offset, up to %d sizes and as many strides, none of "
                          "them negative, that the file can hold",
                          path, view->name, TENSOR_MAX_RANK);
    view->size = elements * dtype_size(view->dtype);
    *span = elements ? last + 1 : 0;
    return VKCLIP_OK;
}

/* The storage's bytes in the mapping. */
static int read_storage(struct reader *reader, const struct tensor_view *view,
                        const struct pickle_object *storage, const uint8_t **data, uint64_t *size)
{
    static const char folder[] = "data/";
    const struct pickle_value *key = &storage->items[2];
    char name[64];
    enum dtype dtype = DTYPE_U8;
    uint64_t elements;
    struct record *record = NULL;
    pickle_dtype(&storage->items[1], &dtype);
    if (key->length < sizeof(name) - strlen(folder)) {
        memcpy(name, folder, strlen(folder));
        memcpy(name + strlen(folder), key->text, key->length);
        record = find_record(reader, name, strlen(folder) + key->length);
    }
    if (!record)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: its record %sdata/%.*s is missing",
                          reader->file->path, view->name, reader->folder,
                          key->length < 64 ? (int)key->length : 64, key->text);
    int error = locate(reader, record);
    if (error)
        return error;
    if (!get_size(&storage->items[4], &elements) || elements > record->size / dtype_size(dtype))
        return error_fail(
            VKCLIP_EFORMAT,
            "%s: %s: a storage of %lld elements of %zu bytes, found %llu bytes in its "
            "record %.100s",
            reader->file->path, view->name, (long long)storage->items[4].integer, dtype_size(dtype),
            (unsigned long long)record->size, record->name);
    *data = reader->data + record->offset;
    *size = elements * dtype_size(dtype);
    return VKCLIP_OK;
}

static bool is_dense(const struct tensor_view *view, const uint64_t *strides)
{
    uint64_t step = 1;
    for (unsigned i = view->rank; i--; step *= view->shape[i])
        if (view->shape[i] > 1 && strides[i] != step)
            return false;
    return true;
}

/* A dense copy of a tensor that lies transposed in its storage. */
static int copy_dense(struct reader *reader, struct tensor_view *view, const uint64_t *strides,
                      const uint8_t *data)
{
    size_t size = dtype_size(view->dtype);
    uint64_t at[TENSOR_MAX_RANK] = {0}, element = 0;
    /* a tensor that repeats its elements, and many of one storage, would be larger than the file */
    if (view->size > reader->size - reader->copied)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: %s: strided tensors that repeat more than the file holds: refused",
                          reader->file->path, view->name);
    uint8_t *copy = malloc((size_t)view->size);
    if (!copy)
        return error_fail(VKCLIP_EMEMORY, "%s: %s: out of memory for a dense copy",
                          reader->file->path, view->name);
    reader->copied += view->size;
    view->data = copy;
    view->resident = true;
    for (uint64_t i = 0; i < view->size / size; i++) {
        memcpy(copy + i * size, data + element * size, size);
        for (unsigned d = view->rank; d--;) {
            element += strides[d];
            if (++at[d] < view->shape[d])
                break;
            element -= strides[d] * at[d];
            at[d] = 0;
        }
    }
    return VKCLIP_OK;
}

static int read_tensor(struct reader *reader, const struct pickle_object *object,
                       struct tensor_view *view)
{
    uint64_t strides[TENSOR_MAX_RANK] = {0}, first = 0, span = 0, size = 0;
    const uint8_t *data = NULL;
    int error = read_shape(reader, object, view, strides, &first, &span);
    error = error ? error : read_storage(reader, view, object->items[0].object, &data, &size);
    if (error)
        return error;
    uint64_t held = size / dtype_size(view->dtype);
    if (first > held || span > held - first)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: %s: elements %llu to %llu of a storage of %llu: out of range",
                          reader->file->path, view->name, (unsigned long long)first,
                          (unsigned long long)first + span, (unsigned long long)held);
    view->data = data + first * dtype_size(view->dtype);
    return !view->size || is_dense(view, strides) ? VKCLIP_OK
                                                  : copy_dense(reader, view, strides, view->data);
}

static int add_tensor(struct reader *reader, char *name, const struct pickle_object *object)
{
    struct torch_pt *file = reader->file;
    if (file->count == reader->capacity) {
        size_t capacity = reader->capacity ? 2 * reader->capacity : 256;
        struct tensor_view *grown = capacity > TENSORS_MAX
                                        ? NULL
                                        : realloc(file->tensors, capacity * sizeof(*file->tensors));
        if (!grown) {
            free(name);
            return error_fail(VKCLIP_EMEMORY, "%s: out of memory, or more than %u tensors",
                              file->path, TENSORS_MAX);
        }
        file->tensors = grown;
        reader->capacity = capacity;
    }
    struct tensor_view *view = &file->tensors[file->count++];
    *view = (struct tensor_view){.name = name};
    return read_tensor(reader, object, view);
}

/* ---- State dicts ----------------------------------------------------------------------------- */

static const struct pickle_value *lookup(const struct pickle_object *dict, const char *key)
{
    for (uint32_t i = 0; i + 1 < dict->count; i += 2)
        if (pickle_is_string(&dict->items[i], key))
            return &dict->items[i + 1];
    return NULL;
}

/* The tensors of a dict, and of the modules in it: their names are the way to them. */
static int walk(struct reader *reader, const struct pickle_object *dict, const char *prefix,
                unsigned depth)
{
    const char *path = reader->file->path;
    int error = VKCLIP_OK;
    if (depth > MODULES_DEPTH)
        return error_fail(VKCLIP_EFORMAT, "%s: modules nested deeper than %d", path, MODULES_DEPTH);
    for (uint32_t i = 0; !error && i + 1 < dict->count; i += 2) {
        const struct pickle_value *key = &dict->items[i], *value = &dict->items[i + 1];
        bool module = value->kind == PICKLE_OBJECT && value->object->count &&
                      value->object->items[0].kind == PICKLE_DICT;
        /* one module in many places makes a small pickle a large tree */
        if (++reader->visits > VISITS_MAX)
            return error_fail(VKCLIP_EFORMAT, "%s: more than %u values in its modules", path,
                              VISITS_MAX);
        if (key->kind != PICKLE_STRING || (value->kind != PICKLE_TENSOR && !module))
            continue;
        if (!key->length || strlen(prefix) + key->length >= NAME_MAX_LENGTH ||
            memchr(key->text, 0, key->length))
            return error_fail(VKCLIP_EFORMAT, "%s: expected names of 1 to %d bytes without NUL",
                              path, NAME_MAX_LENGTH);
        char *name =
            string_format("%s%.*s%s", prefix, (int)key->length, key->text, module ? "." : "");
        if (!name)
            return out_of_memory(reader);
        if (!module) {
            error = add_tensor(reader, name, value->object);
            continue;
        }
        error = walk(reader, value->object->items[0].object, name, depth + 1);
        free(name);
    }
    return error;
}

/* Training on several devices puts the model into a wrapper, which its names show. */
static int finish_names(struct torch_pt *file)
{
    static const char wrapper[] = "module.";
    for (size_t i = 0; i < file->count; i++) {
        char *name = (char *)file->tensors[i].name;
        if (!strncmp(name, wrapper, strlen(wrapper)))
            memmove(name, name + strlen(wrapper), strlen(name + strlen(wrapper)) + 1);
    }
    tensor_view_sort(file->tensors, file->count);
    for (size_t i = 1; i < file->count; i++)
        if (!strcmp(file->tensors[i - 1].name, file->tensors[i].name))
            return error_fail(VKCLIP_EFORMAT, "%s: %s is there twice", file->path,
                              file->tensors[i].name);
    return VKCLIP_OK;
}

static int read_state(struct reader *reader, const struct pickle_value *root)
{
    const struct pickle_value *state = root;
    if (state->kind == PICKLE_DICT && (state = lookup(root->object, "state_dict")) == NULL)
        state = root;
    if (state->kind == PICKLE_OBJECT && state->object->count)
        state = &state->object->items[0];
    int error = state->kind == PICKLE_DICT ? walk(reader, state->object, "", 0) : VKCLIP_OK;
    if (!error && !reader->file->count)
        error =
            error_fail(VKCLIP_EUNSUPPORTED,
                       "%s: holds no named tensors, expected a state dict, a training checkpoint "
                       "with one under state_dict, or TorchScript modules",
                       reader->file->path);
    return error ? error : finish_names(reader->file);
}

static int read_checkpoint(struct reader *reader)
{
    struct torch_pickle pickle = {0};
    int error = open_zip(reader);
    error = error ? error : list_records(reader);
    error = error ? error : find_folder(reader);
    error = error ? error : check_byteorder(reader);
    struct record *record = error ? NULL : find_record(reader, "data.pkl", strlen("data.pkl"));
    if (!error && !record)
        error = error_fail(VKCLIP_EFORMAT, "%s: zip archive: record names longer than %d bytes",
                           reader->file->path, NAME_MAX_LENGTH);
    error = error ? error : locate(reader, record);
    error = error ? error
                  : torch_pickle_read(reader->data + record->offset, (size_t)record->size,
                                      reader->file->path, &pickle);
    error = error ? error : read_state(reader, &pickle.root);
    error = error ? error : check_overlaps(reader);
    torch_pickle_close(&pickle);
    return error;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static const uint8_t zip_magic[] = {'P', 'K'};
/* protocol 2, then the number that torch.save began its files with before 1.6 */
static const uint8_t legacy_magic[] = {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c,
                                       0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19};
static const uint8_t tar_magic[] = {'u', 's', 't', 'a', 'r'};

#define BEGINS(data, size, at, magic) \
    ((size) >= (at) + sizeof(magic) && !memcmp((data) + (at), magic, sizeof(magic)))

bool torch_pt_is_file(const char *path)
{
    static const char *const ends[] = {".pt", ".pth", ".bin", ".ckpt"};
    struct file_map map;
    const char *end = strrchr(path, '.');
    bool named = false;
    if (file_map_open(path, &map))
        return false;
    for (size_t i = 0; end && i < ARRAY_COUNT(ends); i++)
        named = named || !strcmp(end, ends[i]);
    bool found = BEGINS(map.data, map.size, 0, zip_magic) ||
                 BEGINS(map.data, map.size, 0, legacy_magic) ||
                 (named && (map.size < 9 || map.data[8] != '{')); /* else it is safetensors */
    file_map_close(&map);
    return found;
}

/* What it is instead of a zip archive. */
static int refuse_form(const uint8_t *data, size_t size, const char *name)
{
    static const char again[] = "load it with PyTorch and save it again";
    if (BEGINS(data, size, 0, legacy_magic) || BEGINS(data, size, 257, tar_magic))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: PyTorch's file format from before 1.6, which is not read: %s", name,
                          again);
    if (size && data[0] == 0x80)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: a pickle without an archive: %s", name, again);
    return error_fail(VKCLIP_EFORMAT,
                      "%s: expected a PyTorch checkpoint, which is a zip archive, found %zu bytes "
                      "that begin with 0x%02x",
                      name, size, size ? data[0] : 0);
}

int torch_pt_parse(const uint8_t *data, size_t size, const char *name, struct torch_pt **result)
{
    *result = NULL;
    if (!BEGINS(data, size, 0, zip_magic))
        return refuse_form(data, size, name);
    struct torch_pt *file = calloc(1, sizeof(*file));
    struct reader reader = {.file = file, .data = data, .size = size};
    int error = VKCLIP_OK;
    if (!file || !(file->path = string_format("%s", name)))
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
    error = error ? error : read_checkpoint(&reader);
    if (reader.zip)
        zip_discard(reader.zip);
    zip_error_fini(&reader.source.error);
    free(reader.records);
    free(reader.folder);
    if (error)
        torch_pt_close(&file);
    *result = file;
    return error;
}

int torch_pt_open(const char *path, struct torch_pt **file)
{
    struct file_map map;
    *file = NULL;
    int error = file_map_open(path, &map);
    if (!error)
        error = torch_pt_parse(map.data, map.size, path, file);
    if (error)
        file_map_close(&map);
    else
        (*file)->map = map;
    return error;
}

void torch_pt_close(struct torch_pt **file)
{
    if (!file || !*file)
        return;
    for (size_t i = 0; i < (*file)->count; i++) {
        struct tensor_view *view = &(*file)->tensors[i];
        free((void *)view->name);
        if (view->resident)
            free((void *)view->data);
    }
    free((*file)->tensors);
    file_map_close(&(*file)->map);
    free((*file)->path);
    free(*file);
    *file = NULL;
}
