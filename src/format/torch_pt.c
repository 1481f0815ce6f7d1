/* SPDX-License-Identifier: MIT
 *
 * Finds the tensors of a checkpoint: torch_archive.c says where the records lie, torch_pickle.c
 * what the objects are. Tensors lie in dicts, in dicts within dicts (training checkpoints), under
 * string_to_param (textual inversions), or in the modules of a TorchScript archive. What an
 * optimiser or a callback keeps is never looked at. Refused are PyTorch's formats from before 1.6,
 * big-endian files, and tensors that their records do not hold. Little-endian hosts only.
 */
#include "format/torch_pt.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/string.h"
#include "format/torch_archive.h"
#include "format/torch_pickle.h"

#include <stdio.h>
#include <string.h>

/* These limits are far above what checkpoints need (some thousand tensors, a dozen levels). They
 * bound the memory, the recursion and the time that a hostile file can cost: a dict that holds
 * itself several times over would be visited without end. */
#define NAME_MAX_LENGTH 512
#define TENSORS_MAX (1u << 16)
#define DICTS_DEPTH 64
#define VISITS_MAX (1u << 20)

struct reader {
    struct torch_pt *file;
    const struct file_map *map;
    struct torch_archive *archive;
    size_t capacity; /* of the list of tensors */
    size_t visits;   /* values of dicts seen so far */
    uint64_t copied; /* bytes of dense copies so far */
};

/* ---- One tensor ------------------------------------------------------------------------------ */

static bool read_size(const struct pickle_value *value, uint64_t *size)
{
    *size = (uint64_t)value->integer;
    return value->kind == PICKLE_INT && value->integer >= 0;
}

/* A placement says where a tensor lies in its storage, counted in elements. */
struct placement {
    uint64_t strides[TENSOR_MAX_RANK];
    uint64_t first, span; /* the first element, and how many follow from it to the last */
};

/* Reads sizes and strides. The size of the file bounds every tensor, so that a larger number is
 * wrong, and no product of smaller numbers overflows. */
static bool read_dimensions(const struct reader *reader, const struct pickle_value *items,
                            struct tensor_view *view, struct placement *placement)
{
    const struct pickle_object *sizes = items[2].object, *strides = items[3].object;
    uint64_t last = 0, elements = 1;
    if (!read_size(&items[1], &placement->first) || sizes->count != strides->count ||
        sizes->count > TENSOR_MAX_RANK)
        return false;
    view->rank = sizes->count;
    for (unsigned i = 0; i < view->rank; i++) {
        if (!read_size(&sizes->items[i], &view->shape[i]) ||
            !read_size(&strides->items[i], &placement->strides[i]) ||
            view->shape[i] > reader->map->size ||
            (view->shape[i] && elements > reader->map->size / view->shape[i]))
            return false;
        elements *= view->shape[i];
    }
    for (unsigned i = 0; elements && i < view->rank; i++) {
        const uint64_t steps = view->shape[i] - 1;
        if (steps && placement->strides[i] > reader->map->size / steps)
            return false;
        last += steps ? placement->strides[i] * steps : 0;
    }
    view->size = elements * dtype_size(view->dtype);
    placement->span = elements ? last + 1 : 0;
    return true;
}

static int read_shape(const struct reader *reader, const struct pickle_object *object,
                      struct tensor_view *view, struct placement *placement)
{
    const struct pickle_value *items = object->items;
    torch_pickle_dtype(&items[0].object->items[1], &view->dtype);
    if (object->count > 6) /* The tensor names its type if the storage has none. */
        torch_pickle_dtype(&items[6], &view->dtype);
    if (!read_dimensions(reader, items, view, placement))
        return error_fail(VKCLIP_EFORMAT,
                          "%s: %s: expected an offset, up to %d sizes and as many strides, none of "
                          "them negative, that the file can hold",
                          reader->file->path, view->name, TENSOR_MAX_RANK);
    return VKCLIP_OK;
}

/* Finds the record data/KEY of a storage. Returns NULL if there is none. */
static struct torch_record *find_storage(const struct reader *reader,
                                         const struct pickle_value *key)
{
    static const char folder[] = "data/";
    char name[64];
    if (key->length >= sizeof(name) - strlen(folder))
        return NULL;
    memcpy(name, folder, strlen(folder));
    memcpy(name + strlen(folder), key->text, key->length);
    return torch_archive_find(reader->archive, name, strlen(folder) + key->length);
}

/* Finds where the bytes of a storage are in the file. */
static int read_storage(struct reader *reader, const struct tensor_view *view,
                        const struct pickle_object *storage, const uint8_t **data, uint64_t *size)
{
    const char *path = reader->file->path;
    const struct pickle_value *key = &storage->items[2];
    enum dtype dtype = DTYPE_U8;
    uint64_t elements;
    torch_pickle_dtype(&storage->items[1], &dtype);
    struct torch_record *record = find_storage(reader, key);
    if (!record)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: its record %sdata/%.*s is missing", path,
                          view->name, torch_archive_folder(reader->archive),
                          key->length < 64 ? (int)key->length : 64, key->text);
    int error = torch_archive_locate(reader->archive, record);
    if (error)
        return error;
    if (!read_size(&storage->items[4], &elements) || elements > record->size / dtype_size(dtype))
        return error_fail(
            VKCLIP_EFORMAT,
            "%s: %s: a storage of %lld elements of %zu bytes, found %llu bytes in its "
            "record %.100s",
            path, view->name, (long long)storage->items[4].integer, dtype_size(dtype),
            (unsigned long long)record->size, record->name);
    *data = reader->map->data + record->offset;
    *size = elements * dtype_size(dtype);
    return VKCLIP_OK;
}

static bool is_dense(const struct tensor_view *view, const uint64_t *strides)
{
    uint64_t dense = 1;
    for (unsigned i = view->rank; i--;) {
        if (view->shape[i] > 1 && strides[i] != dense)
            return false;
        dense *= view->shape[i];
    }
    return true;
}

/* Copies elements that lie in the order of `strides` into the order of the shape. */
static void copy_elements(const struct tensor_view *view, const uint64_t *strides,
                          const uint8_t *data, uint8_t *copy)
{
    const size_t size = dtype_size(view->dtype);
    uint64_t index[TENSOR_MAX_RANK] = {0}, element = 0;
    for (uint64_t i = 0; i < view->size / size; i++) {
        memcpy(copy + i * size, data + element * size, size);
        for (unsigned d = view->rank; d--;) {
            element += strides[d];
            if (++index[d] < view->shape[d])
                break;
            element -= strides[d] * index[d];
            index[d] = 0;
        }
    }
}

/* Makes a dense copy of a tensor that lies transposed in its storage, and lets the view show the
 * copy. */
static int make_dense(struct reader *reader, struct tensor_view *view,
                      const struct placement *placement)
{
    const size_t stored_size = (size_t)placement->span * dtype_size(view->dtype);
    const uint64_t offset = (uint64_t)((const uint8_t *)view->data - reader->map->data);
    /* Strides may repeat elements, and many tensors may share a storage, so that all copies
     * together could be much larger than the file. */
    if (view->size > reader->map->size - reader->copied)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: %s: strided tensors that repeat more than the file holds: refused",
                          reader->file->path, view->name);
    uint8_t *copy = memory_alloc((size_t)view->size), *stored = memory_alloc(stored_size);
    int error = VKCLIP_OK;
    if (copy && stored)
        error = file_map_read(reader->map, offset, stored_size, stored);
    else
        error = error_fail(VKCLIP_EMEMORY, "%s: %s: out of memory for a dense copy",
                           reader->file->path, view->name);
    if (!error) {
        copy_elements(view, placement->strides, stored, copy);
        reader->copied += view->size;
        view->data = copy;
        view->resident = true;
    } else {
        memory_free(copy);
    }
    memory_free(stored);
    return error;
}

/* Points a tensor to its elements, which lie in a storage of `size` bytes at `data`. */
static int place_tensor(struct reader *reader, struct tensor_view *view,
                        const struct placement *placement, const uint8_t *data, uint64_t size)
{
    const uint64_t held = size / dtype_size(view->dtype);
    if (placement->first > held || placement->span > held - placement->first)
        return error_fail(
            VKCLIP_EFORMAT, "%s: %s: elements %llu to %llu of a storage of %llu: out of range",
            reader->file->path, view->name, (unsigned long long)placement->first,
            (unsigned long long)placement->first + placement->span, (unsigned long long)held);
    view->data = data + placement->first * dtype_size(view->dtype);
    if (!view->size || is_dense(view, placement->strides))
        return VKCLIP_OK;
    return make_dense(reader, view, placement);
}

static int read_tensor(struct reader *reader, const struct pickle_object *object,
                       struct tensor_view *view)
{
    struct placement placement = {0};
    const uint8_t *data = NULL;
    uint64_t size = 0;
    int error = read_shape(reader, object, view, &placement);
    if (!error)
        error = read_storage(reader, view, object->items[0].object, &data, &size);
    if (!error)
        error = place_tensor(reader, view, &placement, data, size);
    return error;
}

/* ---- State dicts ----------------------------------------------------------------------------- */

/* Adds a tensor to the list. The function takes ownership of the name. */
static int add_tensor(struct reader *reader, char *name, const struct pickle_object *object)
{
    struct torch_pt *file = reader->file;
    if (file->count == reader->capacity) {
        const size_t capacity = reader->capacity ? 2 * reader->capacity : 256;
        struct tensor_view *tensors = NULL;
        if (capacity <= TENSORS_MAX)
            tensors = memory_realloc(file->tensors, capacity * sizeof(*tensors));
        if (!tensors) {
            memory_free(name);
            return error_fail(VKCLIP_EMEMORY, "%s: out of memory, or more than %u tensors",
                              file->path, TENSORS_MAX);
        }
        file->tensors = tensors;
        reader->capacity = capacity;
    }
    struct tensor_view *view = &file->tensors[file->count++];
    *view = (struct tensor_view){.name = name};
    return read_tensor(reader, object, view);
}

static const struct pickle_value *find_item(const struct pickle_object *dict, const char *key)
{
    for (uint32_t i = 0; i + 1 < dict->count; i += 2)
        if (torch_pickle_is_string(&dict->items[i], key))
            return &dict->items[i + 1];
    return NULL;
}

/* Tells whether a key of a training checkpoint has tensors below it that are no weights. */
static bool is_training_state(const struct pickle_value *key)
{
    static const char *const words[] = {"optim", "callbacks", "loops"};
    bool found = false;
    for (size_t i = 0; i < ARRAY_COUNT(words); i++)
        found = found ||
                (key->length >= strlen(words[i]) && !memcmp(key->text, words[i], strlen(words[i])));
    return found;
}

/* Returns the dict of a value that is one or is a module with a state, else NULL. */
static const struct pickle_object *inner_dict(const struct pickle_value *key,
                                              const struct pickle_value *value)
{
    if (value->kind == PICKLE_DICT && key->kind == PICKLE_STRING)
        return is_training_state(key) ? NULL : value->object;
    if (value->kind != PICKLE_OBJECT || !value->object->count ||
        value->object->items[0].kind != PICKLE_DICT)
        return NULL;
    return value->object->items[0].object;
}

static int read_dict(struct reader *reader, const struct pickle_object *dict, const char *prefix,
                     unsigned depth);

/* Reads a tensor, or the tensors of a dict or module; other values are no part of a state dict. */
static int read_item(struct reader *reader, const struct pickle_value *key,
                     const struct pickle_value *value, const char *prefix, unsigned depth)
{
    const char *path = reader->file->path;
    const struct pickle_object *inner = inner_dict(key, value);
    if (key->kind != PICKLE_STRING || (value->kind != PICKLE_TENSOR && !inner))
        return VKCLIP_OK;
    if (inner && !inner->count)
        return VKCLIP_OK;
    if (!key->length || strlen(prefix) + key->length >= NAME_MAX_LENGTH ||
        memchr(key->text, 0, key->length))
        return error_fail(VKCLIP_EFORMAT, "%s: expected names of 1 to %d bytes without NUL", path,
                          NAME_MAX_LENGTH);
    char *name = string_format("%s%.*s%s", prefix, (int)key->length, key->text, inner ? "." : "");
    if (!name)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (!inner)
        return add_tensor(reader, name, value->object);
    int error = read_dict(reader, inner, name, depth + 1);
    memory_free(name);
    return error;
}

/* Reads the tensors of a dict and of the dicts and modules in it. A tensor's name is the path to
 * it, as PyTorch names parameters. */
static int read_dict(struct reader *reader, const struct pickle_object *dict, const char *prefix,
                     unsigned depth)
{
    const char *path = reader->file->path;
    int error = VKCLIP_OK;
    if (depth > DICTS_DEPTH)
        return error_fail(VKCLIP_EFORMAT, "%s: dicts nested deeper than %d", path, DICTS_DEPTH);
    for (uint32_t i = 0; !error && i + 1 < dict->count; i += 2) {
        /* A small pickle that repeats one module in many places makes a large tree. */
        if (++reader->visits > VISITS_MAX)
            return error_fail(VKCLIP_EFORMAT, "%s: more than %u values in its dicts", path,
                              VISITS_MAX);
        error = read_item(reader, &dict->items[i], &dict->items[i + 1], prefix, depth);
    }
    return error;
}

static int sort_tensors(struct torch_pt *file)
{
    tensor_view_sort(file->tensors, file->count);
    for (size_t i = 1; i < file->count; i++)
        if (!strcmp(file->tensors[i - 1].name, file->tensors[i].name))
            return error_fail(VKCLIP_EFORMAT, "%s: %s occurs twice", file->path,
                              file->tensors[i].name);
    return VKCLIP_OK;
}

/* Finds what has the tensors: the root itself, or the state of a module. Textual inversions have
 * string_to_param, which is a dict or a ParameterDict. */
static const struct pickle_value *find_state(const struct pickle_value *root)
{
    const struct pickle_value *state = root, *nested = NULL;
    if (root->kind == PICKLE_DICT)
        nested = find_item(root->object, "string_to_param");
    if (nested)
        state = nested;
    if (state->kind == PICKLE_OBJECT && state->object->count)
        state = &state->object->items[0];
    nested = state->kind == PICKLE_DICT ? find_item(state->object, "_parameters") : NULL;
    return nested ? nested : state;
}

/* Keeps the name of OpenCLIP's training run, which its checkpoints have beside epoch and
 * state_dict. */
static int read_run(struct torch_pt *file, const struct pickle_value *root)
{
    const struct pickle_object *dict = root->kind == PICKLE_DICT ? root->object : NULL;
    const struct pickle_value *name = dict ? find_item(dict, "name") : NULL;
    if (!name || name->kind != PICKLE_STRING || !find_item(dict, "epoch") ||
        !find_item(dict, "state_dict"))
        return VKCLIP_OK;
    file->run = string_format("%.*s", name->length < 200 ? (int)name->length : 200, name->text);
    return file->run ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "%s: out of memory", file->path);
}

static int read_state(struct reader *reader, const struct pickle_value *root)
{
    const struct pickle_value *state = find_state(root);
    int error = read_run(reader->file, root);
    if (!error && state->kind == PICKLE_DICT)
        error = read_dict(reader, state->object, "", 0);
    if (error)
        return error;
    if (!reader->file->count)
        return error_fail(
            VKCLIP_EUNSUPPORTED,
            "%s: holds no named tensors, expected a state dict, a training checkpoint "
            "with one, a textual inversion with string_to_param, or TorchScript modules",
            reader->file->path);
    return sort_tensors(reader->file);
}

/* ---- The file -------------------------------------------------------------------------------- */

/* Brings a record into memory, where it then is at its place in the mapping. */
static int load_record(struct reader *reader, struct torch_record *record)
{
    int error = torch_archive_locate(reader->archive, record);
    return error ? error : file_map_load(reader->map, record->offset, record->size);
}

/* Refuses big-endian archives. Archives of newer PyTorch versions name their byte order. */
static int check_byteorder(struct reader *reader)
{
    static const char little[] = "little";
    struct torch_record *record =
        torch_archive_find(reader->archive, "byteorder", strlen("byteorder"));
    if (!record)
        return VKCLIP_OK;
    int error = load_record(reader, record);
    if (!error && (record->size != strlen(little) ||
                   memcmp(reader->map->data + record->offset, little, strlen(little))))
        error =
            error_fail(VKCLIP_EUNSUPPORTED, "%s: byteorder: expected little", reader->file->path);
    return error;
}

static int read_pickle(struct reader *reader, struct torch_pickle *pickle)
{
    const char *path = reader->file->path;
    struct torch_record *record =
        torch_archive_find(reader->archive, "data.pkl", strlen("data.pkl"));
    if (!record) /* The archive has data.pkl, so that only the length of its name can be wrong. */
        return error_fail(VKCLIP_EFORMAT, "%s: zip archive: record names longer than %d bytes",
                          path, TORCH_RECORD_NAME_MAX);
    int error = load_record(reader, record);
    if (!error)
        error = torch_pickle_read(reader->map->data + record->offset, (size_t)record->size, path,
                                  pickle);
    return error;
}

static int read_checkpoint(struct reader *reader)
{
    struct torch_pickle pickle = {0};
    int error = torch_archive_open(reader->map, reader->file->path, &reader->archive);
    if (!error)
        error = check_byteorder(reader);
    if (!error)
        error = read_pickle(reader, &pickle);
    if (!error)
        error = read_state(reader, &pickle.root);
    if (!error)
        error = torch_archive_check_overlaps(reader->archive);
    torch_pickle_close(&pickle);
    torch_archive_close(&reader->archive);
    return error;
}

/* ---- Forms of files -------------------------------------------------------------------------- */

/* A magic is bytes that show the form of a file. */
struct magic {
    size_t offset, size;
    uint8_t bytes[14];
};
static const struct magic zip_magic = {0, 2, {'P', 'K'}};
/* Before PyTorch 1.6, torch.save began a file with a pickle of protocol 2 that holds one fixed
 * number. */
static const struct magic legacy_magic = {
    0, 14, {0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19}};
static const struct magic tar_magic = {257, 5, {'u', 's', 't', 'a', 'r'}};

static bool has_magic(const uint8_t *data, size_t size, const struct magic *magic)
{
    return size >= magic->offset + magic->size &&
           !memcmp(data + magic->offset, magic->bytes, magic->size);
}

bool torch_pt_is_file(const struct file_source *source)
{
    static const char *const endings[] = {".pt", ".pth", ".bin", ".ckpt"};
    uint8_t data[16];
    size_t size = sizeof(data);
    bool named = false;
    if (!file_source_begin(source, data, &size))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(endings); i++)
        named = named || string_ends_with(source->name, endings[i]);
    const bool is_safetensors = size >= 9 && data[8] == '{';
    return has_magic(data, size, &zip_magic) || has_magic(data, size, &legacy_magic) ||
           (named && !is_safetensors);
}

/* Fails with a message that says what a file is that is no zip archive. */
static int refuse_form(const uint8_t *data, size_t size, const char *name)
{
    static const char remedy[] = "load it with PyTorch and save it again";
    if (has_magic(data, size, &legacy_magic) || has_magic(data, size, &tar_magic))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: PyTorch's file format from before 1.6, which is not read: %s", name,
                          remedy);
    if (size && data[0] == 0x80)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: a pickle without an archive: %s", name, remedy);
    return error_fail(VKCLIP_EFORMAT,
                      "%s: expected a PyTorch checkpoint, which is a zip archive, found %zu bytes "
                      "that begin with 0x%02x",
                      name, size, size ? data[0] : 0);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int parse_file(struct torch_pt *file, const struct file_map *map)
{
    struct reader reader = {.file = file, .map = map};
    const size_t start = tar_magic.offset + tar_magic.size;
    int error = file_map_load(map, 0, map->size < start ? map->size : start);
    if (error)
        return error;
    if (!has_magic(map->data, map->size, &zip_magic))
        return refuse_form(map->data, map->size, file->path);
    return read_checkpoint(&reader);
}

static int create_file(const char *name, struct torch_pt **file)
{
    *file = memory_calloc(1, sizeof(**file));
    if (*file)
        (*file)->path = string_format("%s", name);
    if (*file && (*file)->path)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
}

int torch_pt_parse(const uint8_t *data, size_t size, const char *name, struct torch_pt **file)
{
    const struct file_map memory = {.data = data, .size = size};
    int error = create_file(name, file);
    if (!error)
        error = parse_file(*file, &memory);
    if (error)
        torch_pt_close(file);
    return error;
}

int torch_pt_open(const char *path, struct torch_pt **file)
{
    const struct file_source source = file_source_path(path);
    return torch_pt_open_source(&source, file);
}

int torch_pt_open_source(const struct file_source *source, struct torch_pt **file)
{
    int error = create_file(source->name, file);
    if (!error)
        error = file_map_hold(source, &(*file)->map);
    if (!error)
        error = parse_file(*file, &(*file)->map);
    for (size_t i = 0; !error && i < (*file)->count; i++)
        if (!(*file)->tensors[i].resident)
            (*file)->tensors[i].map = &(*file)->map;
    if (error)
        torch_pt_close(file);
    return error;
}

void torch_pt_close(struct torch_pt **file)
{
    if (!file || !*file)
        return;
    for (size_t i = 0; i < (*file)->count; i++) {
        struct tensor_view *view = &(*file)->tensors[i];
        memory_free((void *)view->name);
        if (view->resident)
            memory_free((void *)view->data);
    }
    memory_free((*file)->tensors);
    file_map_close(&(*file)->map);
    memory_free((*file)->run);
    memory_free((*file)->path);
    memory_free(*file);
    *file = NULL;
}
