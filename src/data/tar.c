/* SPDX-License-Identifier: MIT
 *
 * WebDataset's shards: uncompressed tar files in which files of one key, their path up to the first
 * dot of the name, are one sample. libarchive reads the tar from the mapped file and says where a
 * file's bytes lie; they are read from there later, in any order.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"
#include "data/build.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_SHARDS = 1 << 20 };

static int add_shard(struct dataset *dataset, size_t *capacity, char *path)
{
    struct dataset_shard *grown =
        path ? dataset_grow(dataset->shards, dataset->shard_count, capacity, sizeof(*grown)) : NULL;
    if (!grown) {
        free(path);
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for %zu shards", dataset->path,
                          dataset->shard_count);
    }
    dataset->shards = grown;
    grown[dataset->shard_count++] = (struct dataset_shard){.path = path};
    if (dataset->shard_count > MOST_SHARDS)
        return error_fail(VKCLIP_EINVALID, "%s: more than %d shards", dataset->path, MOST_SHARDS);
    return VKCLIP_OK;
}

/* Sets each text that the first braces of a path stand for in their place: {0..12}, {000..012} or
 * {a,b}. */
static int expand(struct dataset *dataset, size_t *capacity, const char *path)
{
    const char *open = strchr(path, '{'), *close = open ? strchr(open, '}') : NULL;
    if (!close)
        return add_shard(dataset, capacity, string_format("%s", path));
    int begin = (int)(open - path), digits = 0, end = 0, error = VKCLIP_OK;
    unsigned from = 0, to = 0;
    bool range =
        sscanf(open, "{%9u%n..%9u%n", &from, &digits, &to, &end) == 2 && open + end == close;
    if (range && from > to)
        return error_fail(VKCLIP_EINVALID, "%s: shards %u to %u, expected the lower number first",
                          dataset->path, from, to);
    const char *item = open + 1;
    for (unsigned i = from; !error && (range ? i <= to : item <= close); i++) {
        int length = range ? 0 : (int)strcspn(item, ",}");
        char *one = range ? string_format("%.*s%0*u%s", begin, path, digits - 1, i, close + 1)
                          : string_format("%.*s%.*s%s", begin, path, length, item, close + 1);
        error = one ? expand(dataset, capacity, one)
                    : error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
        free(one);
        item += range ? 0 : length + 1;
    }
    return error;
}

#ifdef VKCLIP_WITH_LIBARCHIVE
#include <archive.h>
#include <archive_entry.h>
#include <ctype.h>
#include <jansson.h>

enum { LONGEST_TEXT = 16 << 20 };

/* Files of one key so far. */
struct pending {
    char *key, *text;
    json_t *json;
    struct dataset_sample sample; /* of a picture where it has a name */
};

static void drop(struct pending *pending)
{
    free(pending->key);
    free(pending->text);
    json_decref(pending->json);
    *pending = (struct pending){0};
}

/* .txt is the caption; else .json's `caption` or `text`, of which there may be several. */
static const char *caption_of(const struct pending *pending, size_t index)
{
    if (pending->text)
        return index ? NULL : pending->text;
    const json_t *value = json_object_get(pending->json, "caption");
    value = value ? value : json_object_get(pending->json, "text");
    if (json_is_array(value))
        return json_string_value(json_array_get(value, index));
    return index ? NULL : json_string_value(value);
}

/* The key's files are complete: adds the sample they are, if they are one. */
static int add_sample(struct dataset_builder *builder, struct pending *pending)
{
    struct dataset *dataset = builder->dataset;
    const char *label_key = builder->params->label_key, *caption, *label = NULL;
    const json_t *value = label_key ? json_object_get(pending->json, label_key) : NULL;
    char number[32];
    if (json_is_integer(value)) {
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(value));
        label = number;
    } else if (value) {
        label = json_string_value(value);
    }
    size_t captions = 0;
    for (size_t i = 0; (caption = caption_of(pending, i)); i++)
        captions += !dataset_is_blank(caption);
    const char *why = !pending->sample.name ? "no picture"
                      : !captions           ? "no caption"
                      : label_key && !label ? "no label in .json"
                                            : NULL;
    if (why) {
        char *where =
            string_format("%s: %s", dataset->shards[pending->sample.shard].path, pending->key);
        int error = dataset_leave_out(builder, where ? where : pending->key, why);
        free(where);
        return error;
    }
    int error = dataset_add_picture(builder, &pending->sample, label);
    for (size_t i = 0; !error && (caption = caption_of(pending, i)); i++)
        if (!dataset_is_blank(caption))
            error = dataset_add_caption(builder, dataset->count - 1, caption);
    return error;
}

static bool is_picture(const char *extension)
{
    /* webp too: the decoder refuses it, which counts it as broken with its name */
    static const char *const names[] = {"jpg", "jpeg", "png", "webp", "bmp", "gif",
                                        "tga", "psd",  "ppm", "pgm",  "pnm"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        if (!strcmp(extension, names[i]))
            return true;
    return false;
}

/* Takes a file of the key by what is behind the first dot. */
static int take_file(struct dataset *dataset, struct pending *pending, const char *name,
                     const char *extension, const uint8_t *data, size_t size)
{
    const struct dataset_shard *shard = &dataset->shards[pending->sample.shard];
    char lower[8] = "";
    for (size_t i = 0; extension[i] && i + 1 < sizeof(lower); i++)
        lower[i] = (char)tolower((unsigned char)extension[i]);
    if (strlen(extension) >= sizeof(lower))
        return VKCLIP_OK;
    if (is_picture(lower) && !pending->sample.name) {
        pending->sample.offset = (uint64_t)(data - shard->map.data);
        pending->sample.size = size;
        return dataset_keep(dataset, name, &pending->sample.name);
    }
    if (size > LONGEST_TEXT)
        return VKCLIP_OK;
    if (!strcmp(lower, "txt") && !pending->text &&
        !(pending->text = string_format("%.*s", (int)size, (const char *)data)))
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for %s", shard->path, name);
    if (!strcmp(lower, "json") && !pending->json)
        pending->json = json_loadb((const char *)data, size, 0, NULL);
    return VKCLIP_OK;
}

/* Where the entry's bytes lie in the mapped file: libarchive gives blocks out of the memory that it
 * reads from, a plain file as one. NULL: they are not there as they are. */
static const uint8_t *find_data(struct archive *archive, const struct file_map *map, size_t size)
{
    const void *block = NULL;
    size_t length;
    la_int64_t offset = 0;
    if (!size)
        return map->data;
    int result = archive_read_data_block(archive, &block, &length, &offset);
    uintptr_t at = (uintptr_t)block, begin = (uintptr_t)map->data;
    if (result != ARCHIVE_OK || offset || length != size || at < begin ||
        at - begin > map->size - size)
        return NULL;
    return block;
}

static int read_entry(struct dataset_builder *builder, struct archive *archive,
                      struct archive_entry *entry, struct pending *pending)
{
    struct dataset *dataset = builder->dataset;
    const uint32_t number = pending->sample.shard;
    const struct dataset_shard *shard = &dataset->shards[number];
    const char *name = archive_entry_pathname(entry);
    name = name ? name : archive_entry_pathname_utf8(entry);
    const char *dot = name ? strchr(file_name(name), '.') : NULL;
    if (archive_entry_filetype(entry) != AE_IFREG || !dot)
        return VKCLIP_OK;
    if (archive_entry_size(entry) < 0 || (uint64_t)archive_entry_size(entry) > shard->map.size)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: %s: %lld bytes, more than the shard has (truncated?)", shard->path,
                          name, (long long)archive_entry_size(entry));
    const size_t size = (size_t)archive_entry_size(entry), length = (size_t)(dot - name);
    int error = VKCLIP_OK;
    if (pending->key && (strncmp(pending->key, name, length) != 0 || pending->key[length])) {
        error = add_sample(builder, pending);
        drop(pending);
        pending->sample.shard = number;
    }
    if (!error && !pending->key && !(pending->key = string_format("%.*s", (int)length, name)))
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory for %s", shard->path, name);
    if (error)
        return error;
    const uint8_t *data = find_data(archive, &shard->map, size);
    if (!data)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: %s: not %zu bytes in one piece (truncated or sparse)", shard->path,
                          name, size);
    return take_file(dataset, pending, name, dot + 1, data, size);
}

static const char *compression_of(const struct file_map *map)
{
    static const struct {
        const char *name, *magic;
    } all[] = {{"gzip", "\x1f\x8b"},
               {"zstd", "\x28\xb5\x2f\xfd"},
               {"xz", "\xfd"
                      "7zXZ"},
               {"bzip2", "BZh"}};
    for (size_t i = 0; i < ARRAY_COUNT(all); i++)
        if (map->size > strlen(all[i].magic) &&
            !memcmp(map->data, all[i].magic, strlen(all[i].magic)))
            return all[i].name;
    return NULL;
}

static int read_shard(struct dataset_builder *builder, uint32_t number)
{
    struct dataset_shard *shard = &builder->dataset->shards[number];
    struct pending pending = {.sample.shard = number};
    int error = file_map_open(shard->path, &shard->map);
    if (error || !shard->map.size)
        return error;
    const char *compression = compression_of(&shard->map);
    if (compression)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: compressed by %s, so that single samples cannot be read: unpack it "
                          "to a plain .tar",
                          shard->path, compression);
    struct archive *archive = archive_read_new();
    if (!archive)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory to read it", shard->path);
    struct archive_entry *entry;
    int result = archive_read_support_format_tar(archive);
    if (result == ARCHIVE_OK)
        result = archive_read_open_memory(archive, shard->map.data, shard->map.size);
    if (result == ARCHIVE_OK)
        result = archive_read_next_header(archive, &entry);
    while (!error && (result == ARCHIVE_OK || result == ARCHIVE_WARN)) {
        error = read_entry(builder, archive, entry, &pending);
        result = error ? result : archive_read_next_header(archive, &entry);
    }
    if (!error && result != ARCHIVE_EOF)
        error = error_fail(VKCLIP_EFORMAT, "%s: tar archive: %s (truncated?)", shard->path,
                           archive_error_string(archive));
    if (!error && pending.key)
        error = add_sample(builder, &pending);
    drop(&pending);
    archive_read_free(archive);
    return error;
}
#else
static int read_shard(struct dataset_builder *builder, uint32_t number)
{
    return error_fail(
        VKCLIP_EUNSUPPORTED,
        "%s: this build of vkclip has no libarchive, which reads tar shards: build it "
        "with libarchive, or unpack them and list the pictures in a CSV",
        builder->dataset->shards[number].path);
}
#endif

int dataset_tar_read(struct dataset_builder *builder)
{
    size_t capacity = 0;
    int error = expand(builder->dataset, &capacity, builder->dataset->path);
    for (size_t i = 0; i < builder->dataset->shard_count && !error; i++)
        error = read_shard(builder, (uint32_t)i);
    return error;
}
