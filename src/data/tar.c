/* SPDX-License-Identifier: MIT
 *
 * Reads WebDataset's shards: tar files in which the files of one key (their path up to the first
 * dot of the name) are one sample. libarchive reads headers and texts and tells where the bytes of
 * a picture lie, so that they can be read later in any order, also of a shard that gzip compresses.
 * A shard is read and not mapped, because a mapped file that becomes shorter ends the process.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/string.h"
#include "data/build.h"
#include "format/json.h"
#include "image/formats.h"

#include <string.h>

/* A million shards of ten thousand pairs are more than any public set has. The limit stops a range
 * such as {0..999999999} before its names fill the memory. */
enum { MOST_SHARDS = 1 << 20 };

/* ---- The names of the shards ----------------------------------------------------------------- */

/* Adds a shard. The function takes ownership of the path. */
static int add_shard(struct builder *builder, char *path)
{
    if (builder->dataset->file_count >= MOST_SHARDS) {
        memory_free(path);
        return error_fail(VKCLIP_EINVALID, "%s: more than %d shards", builder->path, MOST_SHARDS);
    }
    return build_add_file(builder, path, false);
}

/* These are the first braces of a path: a list {a,b} or a range {0..12}. All numbers of a range
 * have at least as many digits as its first number, as in {000..012}. */
struct braces {
    const char *path, *open, *close; /* `close` NULL: the path has none */
    bool is_range;
    unsigned first, last;
    int digits;
};

static struct braces find_braces(const char *path)
{
    struct braces braces = {.path = path, .open = strchr(path, '{')};
    int end = 0;
    if (!braces.open)
        return braces;
    braces.close = strchr(braces.open, '}');
    const int found =
        sscanf(braces.open, "{%9u%n..%9u%n", &braces.first, &braces.digits, &braces.last, &end);
    braces.is_range = found == 2 && braces.open + end == braces.close;
    braces.digits--; /* without the brace */
    return braces;
}

static int expand(struct builder *builder, const char *path);

/* Expands a path in which one text has replaced the first braces. The function takes ownership of
 * the path. */
static int expand_rest(struct builder *builder, char *path)
{
    int error = VKCLIP_OK;
    if (path)
        error = expand(builder, path);
    else
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", builder->path);
    memory_free(path);
    return error;
}

static int expand_range(struct builder *builder, const struct braces *braces)
{
    const int before = (int)(braces->open - braces->path);
    int error = VKCLIP_OK;
    if (braces->first > braces->last)
        return error_fail(VKCLIP_EINVALID, "%s: shards %u to %u, expected the lower number first",
                          builder->path, braces->first, braces->last);
    for (unsigned i = braces->first; i <= braces->last && !error; i++)
        error = expand_rest(builder, string_format("%.*s%0*u%s", before, braces->path,
                                                   braces->digits, i, braces->close + 1));
    return error;
}

static int expand_list(struct builder *builder, const struct braces *braces)
{
    const int before = (int)(braces->open - braces->path);
    const char *item = braces->open + 1;
    int error = VKCLIP_OK;
    while (item <= braces->close && !error) {
        const int length = (int)strcspn(item, ",}");
        error = expand_rest(builder, string_format("%.*s%.*s%s", before, braces->path, length, item,
                                                   braces->close + 1));
        item += length + 1;
    }
    return error;
}

/* Adds the shards that a path names. */
static int expand(struct builder *builder, const char *path)
{
    const struct braces braces = find_braces(path);
    if (!braces.close)
        return add_shard(builder, string_format("%s", path));
    return braces.is_range ? expand_range(builder, &braces) : expand_list(builder, &braces);
}

/* ---- Samples --------------------------------------------------------------------------------- */

#ifdef VKCLIP_WITH_LIBARCHIVE
#include <archive.h>
#include <archive_entry.h>
#include <ctype.h>

enum { LONGEST_TEXT = 16 << 20 }; /* bytes of a .txt or .json; longer ones are ignored */

/* This is the shard as libarchive reads it. libarchive skips pictures, so that larger pieces would
 * only read more of their bytes. */
struct source {
    struct archive *archive;
    struct file_map map;
    struct gzip *gzip; /* NULL: the shard is not compressed */
    uint64_t size;     /* bytes of the tar file at most, if it is compressed */
    uint64_t position;
    int error; /* Reading the file has failed, with a message. */
    uint8_t piece[16 << 10];
};

static la_ssize_t read_piece(struct archive *archive, void *user, const void **piece)
{
    struct source *source = user;
    const uint64_t left = source->size - source->position;
    size_t size = left < sizeof(source->piece) ? (size_t)left : sizeof(source->piece);
    (void)archive;
    if (source->gzip)
        source->error = gzip_read_next(source->gzip, size, source->piece, &size);
    else
        source->error = file_map_read(&source->map, source->position, size, source->piece);
    source->position += size;
    *piece = source->piece;
    return source->error ? ARCHIVE_FATAL : (la_ssize_t)size;
}

static la_int64_t skip_bytes(struct archive *archive, void *user, la_int64_t count)
{
    struct source *source = user;
    const uint64_t left = source->size - source->position;
    const uint64_t skipped = (uint64_t)count < left ? (uint64_t)count : left;
    (void)archive;
    if (source->gzip)
        return 0; /* Compressed bytes must be read. */
    source->position += skipped;
    return (la_int64_t)skipped;
}

/* This is what has been read of the current key. */
struct pending {
    char *key;
    char *text;                   /* of its .txt */
    json_t *json;                 /* of its .json */
    char problem[160];            /* why the .json cannot be read */
    struct dataset_sample sample; /* its picture; the name is NULL until it is found */
};

static void clear_pending(struct pending *pending)
{
    memory_free(pending->key);
    memory_free(pending->text);
    json_decref(pending->json);
    *pending = (struct pending){0};
}

/* Returns caption number `index`, or NULL after the last. The .txt is the caption; without a .txt
 * the captions are `caption` or `text` of the .json, which is a text or a list of texts. */
static const char *get_caption(const struct pending *pending, size_t index)
{
    if (pending->text)
        return index ? NULL : pending->text;
    const json_t *value = json_object_get(pending->json, "caption");
    if (!value)
        value = json_object_get(pending->json, "text");
    if (json_is_array(value))
        return json_string_value(json_array_get(value, index));
    return index ? NULL : json_string_value(value);
}

/* Returns the label of the key, whose text may be in `number`, or NULL if it has none. */
static const char *get_label(const struct pending *pending, const char *key, char number[32])
{
    const json_t *value = json_object_get(pending->json, key);
    if (!json_is_integer(value))
        return json_string_value(value);
    snprintf(number, 32, "%lld", (long long)json_integer_value(value));
    return number;
}

static bool has_caption(const struct pending *pending)
{
    const char *caption;
    for (size_t i = 0; (caption = get_caption(pending, i)); i++)
        if (!build_is_blank(caption))
            return true;
    return false;
}

static int leave_out(struct builder *builder, const struct pending *pending, const char *reason)
{
    const struct dataset_file *shard = &builder->dataset->files[pending->sample.file];
    char *place = string_format("%s: %s", shard->path, pending->key);
    int error = build_leave_out(builder, place ? place : pending->key, reason);
    memory_free(place);
    return error;
}

/* What is not there may stand elsewhere in the archive. */
#define BESIDE " next to it (the files of a sample have to follow one another: tar --sort=name)"

/* Adds the sample of a key when all files of the key have been read. */
static int add_sample(struct builder *builder, const struct pending *pending)
{
    const char *label_key = builder->params->label_key, *label = NULL, *caption;
    char number[32];
    if (builder->params->pictures_only)
        return build_add_picture(builder, &pending->sample, NULL);
    if (label_key)
        label = get_label(pending, label_key, number);
    if (!pending->sample.name)
        return leave_out(builder, pending, "no picture" BESIDE);
    if (!has_caption(pending))
        return leave_out(builder, pending,
                         *pending->problem ? pending->problem : "no caption" BESIDE);
    if (label_key && !label)
        return leave_out(builder, pending,
                         *pending->problem ? pending->problem : "no label in .json");
    int error = build_add_picture(builder, &pending->sample, label);
    for (size_t i = 0; !error && (caption = get_caption(pending, i)); i++)
        if (!build_is_blank(caption))
            error = build_add_caption(builder, builder->dataset->count - 1, caption);
    return error;
}

/* Tells whether a file is none of a sample, although it stands between those of one: .DS_Store, or
 * ._00000.jpg, in which macOS stores attributes of 00000.jpg. */
static bool is_hidden(const char *name)
{
    return *name == '.' && strcmp(name, ".txt") != 0 && strcmp(name, ".json") != 0 &&
           !image_find_format(name + 1);
}

/* Reads the whole text of the current entry and ends it with a NUL. */
static int read_text(struct source *source, const char *path, const char *name, size_t size,
                     char **text)
{
    *text = memory_alloc(size + 1);
    if (!*text)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for %s", path, name);
    (*text)[size] = 0;
    if (archive_read_data(source->archive, *text, size) == (la_ssize_t)size)
        return VKCLIP_OK;
    return source->error ? source->error
                         : error_fail(VKCLIP_EFORMAT, "%s: %s: fewer than %zu bytes (truncated?)",
                                      path, name, size);
}

/* Reads the .json of the key, or keeps the reason why it cannot be read. */
static void read_json(struct pending *pending, const char *text, size_t size)
{
    json_error_t found;
    pending->json = json_read(text, size, 0, &found);
    if (!pending->json)
        snprintf(pending->problem, sizeof(pending->problem), ".json: line %d: %.120s", found.line,
                 found.text);
}

/* Adds a file to the key by its extension, which is everything after the first dot. */
static int take_file(struct dataset *dataset, struct pending *pending, const char *name,
                     const char *extension, struct source *source, uint64_t offset, size_t size)
{
    char lower[8] = "", *text = NULL;
    for (size_t i = 0; extension[i] && i + 1 < sizeof(lower); i++)
        lower[i] = (char)tolower((unsigned char)extension[i]);
    if (strlen(extension) >= sizeof(lower))
        return VKCLIP_OK;
    if (image_find_format(lower) && !pending->sample.name) {
        pending->sample.offset = offset;
        pending->sample.size = size;
        return build_keep_text(dataset, name, &pending->sample.name);
    }
    const bool is_caption = !strcmp(lower, "txt") && !pending->text;
    const bool is_json = !strcmp(lower, "json") && !pending->json;
    if (size > LONGEST_TEXT || (!is_caption && !is_json))
        return VKCLIP_OK;
    int error = read_text(source, dataset->files[pending->sample.file].path, name, size, &text);
    if (!error && is_json)
        read_json(pending, text, size);
    if (!error && is_caption)
        pending->text = text;
    else
        memory_free(text);
    return error;
}

/* Begins a new key if the entry has another key, because the current key's sample is then complete.
 * Where only pictures count, two of one name are two samples. */
static int enter_key(struct builder *builder, struct pending *pending, const char *name,
                     size_t length)
{
    const uint32_t number = pending->sample.file;
    if (!builder->params->pictures_only && pending->key && !strncmp(pending->key, name, length) &&
        !pending->key[length])
        return VKCLIP_OK;
    int error = pending->key ? add_sample(builder, pending) : VKCLIP_OK;
    clear_pending(pending);
    pending->sample.file = number;
    if (error)
        return error;
    pending->key = string_format("%.*s", (int)length, name);
    return pending->key ? VKCLIP_OK
                        : error_fail(VKCLIP_EMEMORY, "%s: out of memory for %s",
                                     builder->dataset->files[number].path, name);
}

/* Returns the dot that ends the key of a file, or NULL if it is a file of no sample. The key of
 * 00000.seg.png is 00000. Where only pictures count, each is its own sample. */
static const char *find_extension(const struct builder *builder, const char *name)
{
    const char *file = file_name(name);
    if (!builder->params->pictures_only)
        return is_hidden(file) ? NULL : strchr(file, '.');
    const char *dot = is_hidden(file) ? NULL : strrchr(file, '.');
    return dot && image_find_format(dot + 1) ? dot : NULL;
}

static int read_entry(struct builder *builder, struct source *source, struct archive_entry *entry,
                      struct pending *pending)
{
    struct dataset *dataset = builder->dataset;
    const char *path = dataset->files[pending->sample.file].path;
    const char *name = archive_entry_pathname(entry);
    if (!name)
        name = archive_entry_pathname_utf8(entry);
    const char *dot = name ? find_extension(builder, name) : NULL;
    if (archive_entry_filetype(entry) != AE_IFREG || !dot)
        return VKCLIP_OK;
    if (archive_entry_size(entry) < 0 || (uint64_t)archive_entry_size(entry) > source->size)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: %s: %lld bytes, more than the shard has (truncated?)", path, name,
                          (long long)archive_entry_size(entry));
    const size_t size = (size_t)archive_entry_size(entry);
    const size_t key = builder->params->pictures_only ? strlen(name) : (size_t)(dot - name);
    int error = enter_key(builder, pending, name, key);
    if (error)
        return error;
    /* libarchive has read the header only, so that the entry's bytes follow what it has taken. */
    const uint64_t offset = (uint64_t)archive_filter_bytes(source->archive, 0);
    if (archive_entry_sparse_count(entry) || offset > source->size - size)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: %s: not %zu bytes in one piece (truncated or sparse)", path, name,
                          size);
    return take_file(dataset, pending, name, dot + 1, source, offset, size);
}

/* ---- Shards ---------------------------------------------------------------------------------- */

/* Opens the content of a shard that gzip compresses, and refuses one that begins as a file of
 * another known compression does. */
static int open_content(const char *path, struct source *source, struct gzip_places **places)
{
    static const struct {
        const char *name, *magic;
    } known[] = {{"zstd", "\x28\xb5\x2f\xfd"},
                 {"xz", "\xfd"
                        "7zXZ"},
                 {"bzip2", "BZh"}};
    const struct file_map *map = &source->map;
    char start[8] = "";
    int error = file_map_read(map, 0, map->size < sizeof(start) ? map->size : sizeof(start), start);
    source->size = map->size;
    if (!error && gzip_is_magic((const uint8_t *)start)) {
        source->size = INT64_MAX;
        error = gzip_open_first(map, &source->gzip, places);
    }
    for (size_t i = 0; i < ARRAY_COUNT(known) && !error; i++)
        if (!memcmp(start, known[i].magic, strlen(known[i].magic)))
            error = error_fail(VKCLIP_EUNSUPPORTED,
                               "%s: compressed by %s, so that single samples cannot be read: "
                               "unpack it to a plain .tar, or compress it by gzip",
                               path, known[i].name);
    return error;
}

/* Asks the program whether to go on. The bytes of an archive that is opened alone are counted. */
static int ask(const struct builder *builder, struct source *source)
{
    const uint64_t done = (uint64_t)archive_filter_bytes(source->archive, 0);
    return builder->params->pictures_only && !source->gzip && done < source->size
               ? progress_tell(done, source->size)
               : progress_check();
}

static int read_archive(struct builder *builder, struct source *source, struct pending *pending)
{
    struct archive *archive = source->archive;
    struct archive_entry *entry;
    int error = VKCLIP_OK, result = archive_read_support_format_tar(archive);
    if (result == ARCHIVE_OK)
        result = archive_read_open2(archive, source, NULL, read_piece, skip_bytes, NULL);
    if (result == ARCHIVE_OK)
        result = archive_read_next_header(archive, &entry);
    while (!error && (result == ARCHIVE_OK || result == ARCHIVE_WARN)) {
        error = read_entry(builder, source, entry, pending);
        if (!error)
            error = ask(builder, source);
        if (!error)
            result = archive_read_next_header(archive, &entry);
    }
    if (!error && source->error)
        return source->error;
    if (!error && result != ARCHIVE_EOF)
        error = error_fail(VKCLIP_EFORMAT, "%s: tar archive: %s (truncated?)",
                           builder->dataset->files[pending->sample.file].path,
                           archive_error_string(archive));
    if (!error && pending->key)
        error = add_sample(builder, pending);
    return error;
}

/* Reads what follows the end of a compressed tar file, so that a damaged one is refused whatever
 * part of it is damaged. */
static int read_rest(struct source *source)
{
    size_t count = 1;
    int error = VKCLIP_OK;
    while (source->gzip && !error && count) {
        error = gzip_read_next(source->gzip, sizeof(source->piece), source->piece, &count);
        source->position += count;
        if (!error)
            error = progress_check();
    }
    return error;
}

static int read_shard(struct builder *builder, uint32_t number)
{
    struct dataset_file *shard = &builder->dataset->files[number];
    struct pending pending = {.sample.file = number};
    struct source source = {.archive = archive_read_new()};
    int error = VKCLIP_OK;
    if (!source.archive)
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory to read it", shard->path);
    if (!error)
        error = file_open(shard->path, &source.map);
    shard->stamp = source.map.stamp;
    if (!error)
        error = open_content(shard->path, &source, &shard->places);
    if (!error && source.map.size)
        error = read_archive(builder, &source, &pending);
    if (!error)
        error = read_rest(&source);
    shard->size = source.gzip ? source.position : source.map.size;
    clear_pending(&pending);
    archive_read_free(source.archive);
    gzip_close(&source.gzip);
    file_map_close(&source.map);
    return error;
}
#else
static int read_shard(struct builder *builder, uint32_t number)
{
    return error_fail(
        VKCLIP_EUNSUPPORTED,
        "%s: this build of vkclip has no libarchive, which reads tar shards: build it "
        "with libarchive, or unpack them and list the pictures in a CSV",
        builder->dataset->files[number].path);
}
#endif

int build_from_shards(struct builder *builder)
{
    const size_t first = builder->dataset->file_count;
    int error = builder->params->pictures_only
                    ? add_shard(builder, string_format("%s", builder->path))
                    : expand(builder, builder->path);
    for (size_t i = first; i < builder->dataset->file_count && !error; i++)
        error = read_shard(builder, (uint32_t)i);
    return error;
}
