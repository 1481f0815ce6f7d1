/* SPDX-License-Identifier: MIT
 *
 * The list of samples: its memory, its making from what the readers find, and reading a picture.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/string.h"
#include "data/build.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 1 << 20 };

struct dataset_chunk {
    struct dataset_chunk *earlier;
    size_t used, size;
    char text[];
};

static int no_memory(const struct dataset *dataset)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory for a data set of %zu pictures",
                      dataset->path ? dataset->path : "data set", dataset->count);
}

/* ---- What the readers build with ------------------------------------------------------------- */

void *dataset_grow(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    size_t more = *capacity ? *capacity * 2 : 16;
    void *grown = more < SIZE_MAX / size ? realloc(array, more * size) : NULL;
    if (grown)
        *capacity = more;
    return grown;
}

int dataset_keep(struct dataset *dataset, const char *text, const char **copy)
{
    size_t size = strlen(text) + 1;
    struct dataset_chunk *chunk = dataset->texts;
    if (!chunk || chunk->size - chunk->used < size) {
        size_t room = size > CHUNK ? size : CHUNK;
        if (!(chunk = malloc(sizeof(*chunk) + room)))
            return no_memory(dataset);
        *chunk = (struct dataset_chunk){.earlier = dataset->texts, .size = room};
        dataset->texts = chunk;
    }
    *copy = memcpy(chunk->text + chunk->used, text, size);
    chunk->used += size;
    return VKCLIP_OK;
}

/* The slot that has the name, or the empty one where it would be. */
static size_t *find_slot(const struct dataset_names *names, const char *name)
{
    size_t at = (size_t)(hash_bytes(0, name, strlen(name)) % names->slot_count);
    while (names->slots[at] && strcmp(names->names[names->slots[at] - 1], name) != 0)
        at = (at + 1) % names->slot_count;
    return &names->slots[at];
}

/* At least half of the slots stay empty. */
static bool make_room(struct dataset_names *names)
{
    const char **grown =
        dataset_grow(names->names, names->count, &names->capacity, sizeof(*names->names));
    if (!grown)
        return false;
    names->names = grown;
    if (names->slot_count >= 2 * names->capacity)
        return true;
    size_t *slots = calloc(2 * names->capacity, sizeof(*slots));
    if (!slots)
        return false;
    free(names->slots);
    names->slots = slots;
    names->slot_count = 2 * names->capacity;
    for (size_t i = 0; i < names->count; i++)
        *find_slot(names, names->names[i]) = i + 1;
    return true;
}

int dataset_number(struct dataset *dataset, struct dataset_names *names, const char *name,
                   size_t *number)
{
    if (!make_room(names))
        return no_memory(dataset);
    size_t *slot = find_slot(names, name);
    if (!*slot) {
        int error = dataset_keep(dataset, name, &names->names[names->count]);
        if (error)
            return error;
        *slot = ++names->count;
    }
    *number = *slot - 1;
    return VKCLIP_OK;
}

bool dataset_is_blank(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return !*text;
}

int dataset_add_picture(struct dataset_builder *builder, const struct dataset_sample *sample,
                        const char *label)
{
    struct dataset *dataset = builder->dataset;
    size_t number = dataset->count;
    int error = label ? dataset_number(dataset, &builder->labels, label, &number) : VKCLIP_OK;
    if (error)
        return error;
    if (number >= UINT32_MAX)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: more than %u pictures", dataset->path,
                          UINT32_MAX - 1);
    struct dataset_sample *grown =
        dataset_grow(dataset->samples, dataset->count, &builder->capacity, sizeof(*grown));
    if (!grown)
        return no_memory(dataset);
    dataset->samples = grown;
    grown[dataset->count] = *sample;
    grown[dataset->count++].label = (uint32_t)number;
    return VKCLIP_OK;
}

int dataset_add_caption(struct dataset_builder *builder, size_t sample, const char *text)
{
    void *grown = dataset_grow(builder->captions, builder->caption_count,
                               &builder->caption_capacity, sizeof(*builder->captions));
    if (!grown)
        return no_memory(builder->dataset);
    builder->captions = grown;
    int error =
        dataset_keep(builder->dataset, text, &builder->captions[builder->caption_count].text);
    if (error)
        return error;
    builder->captions[builder->caption_count++].sample = sample;
    builder->dataset->samples[sample].count++;
    return VKCLIP_OK;
}

int dataset_leave_out(struct dataset_builder *builder, const char *where, const char *why)
{
    if (!builder->dataset->incomplete++ &&
        !(builder->incomplete = string_format("%s: %s", where, why)))
        return no_memory(builder->dataset);
    return VKCLIP_OK;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* The captions of each sample side by side, in the order they came in. */
static int sort_captions(struct dataset_builder *builder)
{
    struct dataset *dataset = builder->dataset;
    dataset->captions = calloc(builder->caption_count + 1, sizeof(*dataset->captions));
    if (!dataset->captions)
        return no_memory(dataset);
    for (size_t i = 0; i < dataset->count; i++) {
        dataset->samples[i].caption = dataset->caption_count;
        dataset->caption_count += dataset->samples[i].count;
        dataset->samples[i].count = 0;
    }
    for (size_t i = 0; i < builder->caption_count; i++) {
        struct dataset_sample *sample = &dataset->samples[builder->captions[i].sample];
        dataset->captions[sample->caption + sample->count++] = builder->captions[i].text;
    }
    return VKCLIP_OK;
}

/* Not of the folder: a data set may be moved between two runs. */
static uint64_t identify(const struct dataset *dataset)
{
    uint64_t hash = hash_bytes(0, &dataset->count, sizeof(dataset->count));
    for (size_t i = 0; i < dataset->count; i++) {
        const struct dataset_sample *sample = &dataset->samples[i];
        const uint64_t numbers[] = {sample->shard, sample->label, sample->count, sample->offset,
                                    sample->size};
        hash = hash_bytes(hash, numbers, sizeof(numbers));
        hash = hash_bytes(hash, sample->name, strlen(sample->name) + 1);
    }
    for (size_t i = 0; i < dataset->caption_count; i++)
        hash = hash_bytes(hash, dataset->captions[i], strlen(dataset->captions[i]) + 1);
    return hash;
}

static int finish(struct dataset_builder *builder)
{
    struct dataset *dataset = builder->dataset;
    if (!dataset->count && dataset->incomplete)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: none of %zu samples has a picture and a caption (%s)", dataset->path,
                          dataset->incomplete, builder->incomplete);
    if (!dataset->count)
        return error_fail(VKCLIP_EFORMAT, "%s: no samples in it", dataset->path);
    if (dataset->incomplete)
        log_message(VKCLIP_LOG_WARNING, "%s: %zu samples left out, the first: %s", dataset->path,
                    dataset->incomplete, builder->incomplete);
    dataset->labels = builder->params->label_key ? builder->labels.count : dataset->count;
    int error = sort_captions(builder);
    dataset->identity = error ? 0 : identify(dataset);
    return error;
}

static bool is_tar(const char *path)
{
    static const char *const endings[] = {".tar",     ".tgz",    ".tar.gz",
                                          ".tar.zst", ".tar.xz", ".tar.bz2"};
    for (size_t i = 0; i < ARRAY_COUNT(endings); i++)
        if (string_ends_with(path, endings[i]))
            return true;
    return false;
}

static struct dataset *new_dataset(const char *path)
{
    struct dataset *dataset = calloc(1, sizeof(*dataset));
    if (dataset && !(dataset->path = string_format("%s", path)))
        dataset_close(&dataset);
    if (!dataset)
        error_fail(VKCLIP_EMEMORY, "%s: out of memory for a data set", path);
    return dataset;
}

int dataset_open(const char *path, const struct dataset_params *params, struct dataset **result)
{
    static const struct dataset_params no_params;
    struct dataset_builder builder = {.params = params ? params : &no_params};
    struct dataset *dataset = builder.dataset = *result = new_dataset(path);
    if (!dataset)
        return VKCLIP_EMEMORY;
    dataset->folder = string_format("%.*s", (int)(file_name(path) - path), path);
    int error = !dataset->folder ? no_memory(dataset)
                : is_tar(path)   ? dataset_tar_read(&builder)
                                 : dataset_csv_read(&builder);
    error = error ? error : finish(&builder);
    free(builder.captions);
    free(builder.incomplete);
    free(builder.pictures.names);
    free(builder.pictures.slots);
    free(builder.labels.names);
    free(builder.labels.slots);
    if (error)
        dataset_close(result);
    return error;
}

/* ---- Preprocessed batches -------------------------------------------------------------------- */

static int check_raw(const struct dataset *dataset)
{
    const struct tensor_view *images = dataset->images, *ids = dataset->ids;
    if (!images || !ids)
        return error_fail(VKCLIP_EFORMAT, "%s: no tensor %s, expected images and input_ids",
                          dataset->path, images ? "input_ids" : "images");
    if (images->rank != 5 || images->shape[2] != 3 ||
        (images->dtype != DTYPE_F32 && images->dtype != DTYPE_F16))
        return error_fail(VKCLIP_EFORMAT,
                          "%s: images has rank %u and dtype %s, expected [S,B,3,H,W], F16 or F32",
                          dataset->path, images->rank, dtype_name(images->dtype));
    if (ids->rank != 3 || (ids->dtype != DTYPE_I32 && ids->dtype != DTYPE_I64))
        return error_fail(VKCLIP_EFORMAT,
                          "%s: input_ids has rank %u and dtype %s, expected [S,B,T], I32 or I64",
                          dataset->path, ids->rank, dtype_name(ids->dtype));
    if (images->shape[0] != ids->shape[0] || images->shape[1] != ids->shape[1])
        return error_fail(VKCLIP_EFORMAT,
                          "%s: images has %llu batches of %llu, input_ids %llu of %llu",
                          dataset->path, (unsigned long long)images->shape[0],
                          (unsigned long long)images->shape[1], (unsigned long long)ids->shape[0],
                          (unsigned long long)ids->shape[1]);
    if (!images->size || !ids->size || images->shape[1] > UINT32_MAX || ids->shape[2] > UINT32_MAX)
        return error_fail(VKCLIP_EFORMAT, "%s: batches of no pictures, of no ids, or too large",
                          dataset->path);
    return VKCLIP_OK;
}

int dataset_open_raw(const char *path, struct dataset **result)
{
    struct dataset *dataset = *result = new_dataset(path);
    if (!dataset)
        return VKCLIP_EMEMORY;
    int error = safetensors_open(path, &dataset->file);
    if (!error) {
        dataset->images = safetensors_find(dataset->file, "images");
        dataset->ids = safetensors_find(dataset->file, "input_ids");
        error = check_raw(dataset);
    }
    if (!error) {
        /* of the ids only: pictures may be far larger than memory */
        dataset->identity = hash_bytes(0, dataset->images->shape, 5 * sizeof(uint64_t));
        dataset->identity = hash_bytes(dataset->identity, dataset->ids->data, dataset->ids->size);
    } else {
        dataset_close(result);
    }
    return error;
}

/* ---- Use ------------------------------------------------------------------------------------- */

void dataset_close(struct dataset **handle)
{
    struct dataset *dataset = *handle;
    if (!dataset)
        return;
    for (size_t i = 0; i < dataset->shard_count; i++) {
        file_map_close(&dataset->shards[i].map);
        free(dataset->shards[i].path);
    }
    while (dataset->texts) {
        struct dataset_chunk *earlier = dataset->texts->earlier;
        free(dataset->texts);
        dataset->texts = earlier;
    }
    safetensors_close(&dataset->file);
    free(dataset->shards);
    free(dataset->samples);
    free(dataset->captions);
    free(dataset->folder);
    free(dataset->path);
    free(dataset);
    *handle = NULL;
}

char *dataset_name(const struct dataset *dataset, size_t number)
{
    const struct dataset_sample *sample = &dataset->samples[number];
    if (sample->shard != DATASET_FILE)
        return string_format("%s: %s", dataset->shards[sample->shard].path, sample->name);
    bool absolute = sample->name[0] == '/' || sample->name[0] == '\\' ||
                    (isalpha((unsigned char)sample->name[0]) && sample->name[1] == ':');
    return string_format("%s%s", absolute ? "" : dataset->folder, sample->name);
}

int dataset_load(const struct dataset *dataset, size_t number, struct vkclip_image *image)
{
    const struct dataset_sample *sample = &dataset->samples[number];
    *image = (struct vkclip_image){0};
    char *name = dataset_name(dataset, number);
    if (!name)
        return no_memory(dataset);
    int error = sample->shard == DATASET_FILE
                    ? vkclip_load_image(name, 0, image)
                    : vkclip_decode_image(dataset->shards[sample->shard].map.data + sample->offset,
                                          (size_t)sample->size, name, 0, image);
    free(name);
    return error;
}
