/* SPDX-License-Identifier: MIT
 *
 * Texts are kept in large chunks, because a data set has millions of short texts. Captions arrive
 * in the order of the file and are sorted by sample at the end.
 */
#include "data/build.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"

#include <ctype.h>
#include <string.h>

/* Bytes of a chunk: some ten thousand captions per allocation, and at most this much left unused.
 */
enum { CHUNK_SIZE = 1 << 20 };

void *build_grow(void *array, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    const size_t more = *capacity ? *capacity * 2 : 16;
    void *grown = more < SIZE_MAX / size ? memory_realloc(array, more * size) : NULL;
    if (grown)
        *capacity = more;
    return grown;
}

/* ---- Texts and names ------------------------------------------------------------------------- */

int build_keep_text(struct dataset *dataset, const char *text, const char **copy)
{
    const size_t size = strlen(text) + 1;
    struct dataset_chunk *chunk = dataset->chunks;
    if (!chunk || chunk->size - chunk->used < size) {
        const size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        chunk = memory_alloc(sizeof(*chunk) + room);
        if (!chunk)
            return dataset_no_memory(dataset);
        *chunk = (struct dataset_chunk){.earlier = dataset->chunks, .size = room};
        dataset->chunks = chunk;
    }
    *copy = memcpy(chunk->text + chunk->used, text, size);
    chunk->used += size;
    return VKCLIP_OK;
}

/* Returns the slot that has the name, or the free slot for it. */
static size_t *find_slot(const struct build_names *names, const char *name)
{
    size_t slot = (size_t)(hash_bytes(0, name, strlen(name)) % names->slot_count);
    while (names->slots[slot] && strcmp(names->names[names->slots[slot] - 1], name) != 0)
        slot = (slot + 1) % names->slot_count;
    return &names->slots[slot];
}

/* Makes room for one more name. At least half of the slots stay free, so that searches are
 * short. */
static bool make_room(struct build_names *names)
{
    const char **grown =
        build_grow(names->names, names->count, &names->capacity, sizeof(*names->names));
    if (!grown)
        return false;
    names->names = grown;
    if (names->slot_count >= 2 * names->capacity)
        return true;
    size_t *slots = memory_calloc(2 * names->capacity, sizeof(*slots));
    if (!slots)
        return false;
    memory_free(names->slots);
    names->slots = slots;
    names->slot_count = 2 * names->capacity;
    for (size_t i = 0; i < names->count; i++)
        *find_slot(names, names->names[i]) = i + 1;
    return true;
}

int build_find_number(struct dataset *dataset, struct build_names *names, const char *name,
                      size_t *number)
{
    if (!make_room(names))
        return dataset_no_memory(dataset);
    size_t *slot = find_slot(names, name);
    if (!*slot) {
        int error = build_keep_text(dataset, name, &names->names[names->count]);
        if (error)
            return error;
        *slot = ++names->count;
    }
    *number = *slot - 1;
    return VKCLIP_OK;
}

/* ---- Samples --------------------------------------------------------------------------------- */

bool build_is_blank(const char *text)
{
    while (isspace((unsigned char)*text))
        text++;
    return !*text;
}

int build_add_picture(struct builder *builder, const struct dataset_sample *sample,
                      const char *label)
{
    struct dataset *dataset = builder->dataset;
    size_t number = dataset->count;
    int error = label ? build_find_number(dataset, &builder->labels, label, &number) : VKCLIP_OK;
    if (error)
        return error;
    if (number >= UINT32_MAX)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: more than %u pictures", dataset->path,
                          UINT32_MAX - 1);
    struct dataset_sample *grown =
        build_grow(dataset->samples, dataset->count, &builder->capacity, sizeof(*grown));
    if (!grown)
        return dataset_no_memory(dataset);
    dataset->samples = grown;
    grown[dataset->count] = *sample;
    grown[dataset->count].label = (uint32_t)number;
    dataset->count++;
    return VKCLIP_OK;
}

int build_add_caption(struct builder *builder, size_t sample, const char *text)
{
    struct build_caption *grown = build_grow(builder->captions, builder->caption_count,
                                             &builder->caption_capacity, sizeof(*grown));
    if (!grown)
        return dataset_no_memory(builder->dataset);
    builder->captions = grown;
    struct build_caption *caption = &grown[builder->caption_count];
    int error = build_keep_text(builder->dataset, text, &caption->text);
    if (error)
        return error;
    caption->sample = sample;
    builder->caption_count++;
    builder->dataset->samples[sample].count++;
    return VKCLIP_OK;
}

int build_leave_out(struct builder *builder, const char *place, const char *reason)
{
    builder->incomplete++;
    if (builder->reason)
        return VKCLIP_OK;
    builder->reason = string_format("%s: %s", place, reason);
    return builder->reason ? VKCLIP_OK : dataset_no_memory(builder->dataset);
}

/* ---- Sources --------------------------------------------------------------------------------- */

int build_add_file(struct builder *builder, char *path, bool is_table)
{
    struct dataset *dataset = builder->dataset;
    struct dataset_file *grown = NULL;
    if (path)
        grown = build_grow(dataset->files, dataset->file_count, &builder->file_capacity,
                           sizeof(*grown));
    if (!grown) {
        memory_free(path);
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for %zu files", builder->path,
                          dataset->file_count);
    }
    dataset->files = grown;
    grown[dataset->file_count++] = (struct dataset_file){.path = path, .is_table = is_table};
    return VKCLIP_OK;
}

static void free_names(struct build_names *names)
{
    memory_free(names->names);
    memory_free(names->slots);
    *names = (struct build_names){0};
}

void build_begin_source(struct builder *builder, const char *path)
{
    free_names(&builder->pictures); /* A name is a picture of its own in every source. */
    memory_free(builder->reason);
    builder->reason = NULL;
    builder->path = path;
    builder->first = builder->dataset->count;
    builder->incomplete = 0;
}

int build_end_source(struct builder *builder)
{
    struct dataset *dataset = builder->dataset;
    const size_t count = dataset->count - builder->first;
    if (!count && builder->incomplete)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: none of %zu samples has a picture and a caption (%s)", builder->path,
                          builder->incomplete, builder->reason);
    if (!count)
        return error_fail(VKCLIP_EFORMAT, "%s: contains no %s", builder->path,
                          builder->params->pictures_only ? "pictures" : "samples");
    if (builder->incomplete)
        log_message(VKCLIP_LOG_WARNING, "%s: %zu samples left out, the first: %s", builder->path,
                    builder->incomplete, builder->reason);
    dataset->incomplete += builder->incomplete;
    struct dataset_source *source = &dataset->sources[dataset->source_count++];
    *source = (struct dataset_source){string_format("%s", builder->path), builder->first, count};
    return source->path ? VKCLIP_OK : dataset_no_memory(dataset);
}

/* ---- The end --------------------------------------------------------------------------------- */

/* Puts the captions of each sample side by side, in the order of the file. */
static int sort_captions(struct builder *builder)
{
    struct dataset *dataset = builder->dataset;
    dataset->captions = memory_calloc(builder->caption_count + 1, sizeof(*dataset->captions));
    if (!dataset->captions)
        return dataset_no_memory(dataset);
    for (size_t i = 0; i < dataset->count; i++) {
        dataset->samples[i].caption = dataset->caption_count;
        dataset->caption_count += dataset->samples[i].count;
        dataset->samples[i].count = 0; /* The count rises again as the captions are placed. */
    }
    for (size_t i = 0; i < builder->caption_count; i++) {
        struct dataset_sample *sample = &dataset->samples[builder->captions[i].sample];
        dataset->captions[sample->caption + sample->count] = builder->captions[i].text;
        sample->count++;
    }
    return VKCLIP_OK;
}

/* Hashes the samples without the folder, because a data set may be moved between two runs. */
static uint64_t identify(const struct dataset *dataset)
{
    uint64_t hash = hash_bytes(0, &dataset->count, sizeof(dataset->count));
    for (size_t i = 0; i < dataset->count; i++) {
        const struct dataset_sample *sample = &dataset->samples[i];
        const uint64_t numbers[] = {sample->file, sample->label, sample->count, sample->offset,
                                    sample->size};
        hash = hash_bytes(hash, numbers, sizeof(numbers));
        hash = hash_bytes(hash, sample->name, strlen(sample->name) + 1);
    }
    for (size_t i = 0; i < dataset->caption_count; i++)
        hash = hash_bytes(hash, dataset->captions[i], strlen(dataset->captions[i]) + 1);
    return hash;
}

int build_finish(struct builder *builder)
{
    struct dataset *dataset = builder->dataset;
    dataset->labels = builder->params->label_key ? builder->labels.count : dataset->count;
    int error = sort_captions(builder);
    if (!error)
        dataset->identity = identify(dataset);
    return error;
}

void build_close(struct builder *builder)
{
    memory_free(builder->captions);
    memory_free(builder->reason);
    free_names(&builder->pictures);
    free_names(&builder->labels);
    *builder = (struct builder){0};
}
