/* SPDX-License-Identifier: MIT
 *
 * Lists and locates records with libzip, which reads the mapped file through a zip source that is
 * defined here.
 */
#include "format/torch_archive.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/string.h"

#include <stdlib.h>
#include <string.h>
#include <zip.h>

static const char pickle_name[] = "data.pkl";

/* This is the mapped file as libzip reads it. libzip has no call that tells where the bytes of a
 * record begin, so the source remembers where the last read was. */
struct source {
    const struct file_map *map;
    uint64_t position, last_read;
    zip_error_t error;
};

struct torch_archive {
    const char *name;
    struct source source;
    zip_t *zip;
    struct torch_record *records; /* sorted by name */
    size_t count;
    char *folder;
};

static zip_int64_t read_source(void *user, void *data, zip_uint64_t length,
                               zip_source_cmd_t command)
{
    struct source *source = user;
    zip_int64_t position;
    zip_stat_t *stat;
    switch (command) {
    case ZIP_SOURCE_OPEN:
        source->position = 0;
        return 0;
    case ZIP_SOURCE_READ:
        if (length > source->map->size - source->position)
            length = source->map->size - source->position;
        if (file_map_read(source->map, source->position, (size_t)length, data)) {
            zip_error_set(&source->error, ZIP_ER_READ, 0);
            return -1;
        }
        source->last_read = source->position;
        source->position += length;
        return (zip_int64_t)length;
    case ZIP_SOURCE_SEEK:
        position = zip_source_seek_compute_offset(source->position, source->map->size, data, length,
                                                  &source->error);
        if (position < 0)
            return -1;
        source->position = (uint64_t)position;
        return 0;
    case ZIP_SOURCE_TELL:
        return (zip_int64_t)source->position;
    case ZIP_SOURCE_STAT:
        stat = data;
        zip_stat_init(stat);
        stat->size = source->map->size;
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

static int fail_memory(const struct torch_archive *archive)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory", archive->name);
}

static int open_zip(struct torch_archive *archive)
{
    zip_error_t problem;
    int error = VKCLIP_OK;
    zip_error_init(&problem);
    zip_source_t *source = zip_source_function_create(read_source, &archive->source, &problem);
    if (source)
        archive->zip = zip_open_from_source(source, ZIP_RDONLY, &problem);
    if (source && !archive->zip)
        zip_source_free(source);
    if (!archive->zip)
        error = error_fail(VKCLIP_EFORMAT, "%s: zip archive: %s (truncated file?)", archive->name,
                           zip_error_strerror(&problem));
    zip_error_fini(&problem);
    return error;
}

/* ---- The list of records --------------------------------------------------------------------- */

/* Tells whether a record's name stays inside the archive. Nothing is unpacked, but a file with a
 * name that leads out of its archive was made to do harm. */
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

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct torch_record *)a)->name, ((const struct torch_record *)b)->name);
}

static int list_records(struct torch_archive *archive)
{
    const zip_int64_t count = zip_get_num_entries(archive->zip, 0);
    archive->records = memory_calloc((size_t)count + 1, sizeof(*archive->records));
    if (!archive->records)
        return fail_memory(archive);
    for (zip_int64_t i = 0; i < count; i++) {
        struct torch_record *record = &archive->records[i];
        record->index = (uint64_t)i;
        record->name = zip_get_name(archive->zip, record->index, ZIP_FL_ENC_RAW);
        if (!record->name || !is_safe(record->name))
            return error_fail(VKCLIP_EFORMAT, "%s: zip archive: record %.100s: refused by its name",
                              archive->name, record->name ? record->name : "without one");
    }
    archive->count = (size_t)count;
    qsort(archive->records, archive->count, sizeof(*archive->records), compare_names);
    for (size_t i = 1; i < archive->count; i++)
        if (!compare_names(&archive->records[i - 1], &archive->records[i]))
            return error_fail(VKCLIP_EFORMAT, "%s: zip archive: record %.100s occurs twice",
                              archive->name, archive->records[i].name);
    return VKCLIP_OK;
}

/* Finds the folder of all records by the data.pkl in it, because PyTorch gives the folder any
 * name. */
static int find_folder(struct torch_archive *archive)
{
    const char *found = NULL, *model = NULL;
    for (size_t i = 0; i < archive->count; i++) {
        const char *name = archive->records[i].name, *slash = strchr(name, '/');
        const char *base = slash ? slash + 1 : name;
        if (!strcmp(base, "model.json"))
            model = name;
        if (strcmp(base, pickle_name))
            continue;
        if (found)
            return error_fail(VKCLIP_EFORMAT, "%s: found %.100s and %.100s, expected one data.pkl",
                              archive->name, found, name);
        found = name;
    }
    if (!found)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: a zip archive without data.pkl: %s, expected what torch.save writes",
                          archive->name,
                          model ? "TorchScript of PyTorch before 1.4" : "not a PyTorch checkpoint");
    archive->folder = string_format("%.*s", (int)(strlen(found) - strlen(pickle_name)), found);
    return archive->folder ? VKCLIP_OK : fail_memory(archive);
}

/* ---- Opening --------------------------------------------------------------------------------- */

int torch_archive_open(const struct file_map *map, const char *name, struct torch_archive **result)
{
    *result = NULL;
    struct torch_archive *archive = memory_calloc(1, sizeof(*archive));
    if (!archive)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
    archive->name = name;
    archive->source = (struct source){.map = map};
    zip_error_init(&archive->source.error);
    int error = open_zip(archive);
    if (!error)
        error = list_records(archive);
    if (!error)
        error = find_folder(archive);
    if (error)
        torch_archive_close(&archive);
    *result = archive;
    return error;
}

void torch_archive_close(struct torch_archive **archive)
{
    if (!archive || !*archive)
        return;
    if ((*archive)->zip)
        zip_discard((*archive)->zip);
    zip_error_fini(&(*archive)->source.error);
    memory_free((*archive)->records);
    memory_free((*archive)->folder);
    memory_free(*archive);
    *archive = NULL;
}

/* ---- Records --------------------------------------------------------------------------------- */

const char *torch_archive_folder(const struct torch_archive *archive)
{
    return archive->folder;
}

struct torch_record *torch_archive_find(const struct torch_archive *archive, const char *name,
                                        size_t length)
{
    char full[TORCH_RECORD_NAME_MAX + 1];
    const size_t folder = strlen(archive->folder);
    if (folder + length > TORCH_RECORD_NAME_MAX || memchr(name, 0, length))
        return NULL;
    memcpy(full, archive->folder, folder);
    memcpy(full + folder, name, length);
    full[folder + length] = 0;
    const struct torch_record key = {.name = full};
    return bsearch(&key, archive->records, archive->count, sizeof(key), compare_names);
}

/* Reads the first byte of a record, which shows where the record's bytes are. Returns false if the
 * bytes are not in the file, or are not those that libzip reads. */
static bool find_offset(struct torch_archive *archive, struct torch_record *record,
                        uint64_t compressed_size)
{
    const struct source *source = &archive->source;
    uint8_t first, there;
    zip_file_t *opened = zip_fopen_index(archive->zip, record->index, 0);
    const bool read = opened && zip_fread(opened, &first, 1) == 1;
    record->offset = source->last_read;
    if (opened)
        zip_fclose(opened);
    return read && compressed_size == record->size && record->offset <= source->map->size &&
           record->size <= source->map->size - record->offset &&
           !file_map_read(source->map, record->offset, 1, &there) && there == first;
}

int torch_archive_locate(struct torch_archive *archive, struct torch_record *record)
{
    zip_stat_t stat;
    if (record->located)
        return VKCLIP_OK;
    zip_stat_init(&stat);
    if (zip_stat_index(archive->zip, record->index, 0, &stat) || !(stat.valid & ZIP_STAT_SIZE))
        return error_fail(VKCLIP_EFORMAT, "%s: zip archive: record %.100s: %s", archive->name,
                          record->name, zip_strerror(archive->zip));
    if (stat.comp_method != ZIP_CM_STORE || stat.encryption_method != ZIP_EM_NONE)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: zip archive: record %.100s is compressed or encrypted: refused, "
                          "PyTorch stores its records as they are",
                          archive->name, record->name);
    record->located = true;
    record->size = stat.size;
    if (record->size && !find_offset(archive, record, stat.comp_size))
        return error_fail(VKCLIP_EFORMAT,
                          "%s: zip archive: record %.100s: its %llu bytes are not in the file "
                          "(truncated file?)",
                          archive->name, record->name, (unsigned long long)record->size);
    return VKCLIP_OK;
}

static int compare_offsets(const void *a, const void *b)
{
    const struct torch_record *x = a, *y = b;
    int order = (x->offset > y->offset) - (x->offset < y->offset);
    return order ? order : compare_names(a, b);
}

int torch_archive_check_overlaps(struct torch_archive *archive)
{
    const struct torch_record *before = NULL;
    qsort(archive->records, archive->count, sizeof(*archive->records), compare_offsets);
    for (size_t i = 0; i < archive->count; i++) {
        const struct torch_record *record = &archive->records[i];
        if (!record->size)
            continue;
        if (before && record->offset < before->offset + before->size)
            return error_fail(VKCLIP_EFORMAT, "%s: zip archive: records %.100s and %.100s overlap",
                              archive->name, before->name, record->name);
        before = record;
    }
    return VKCLIP_OK;
}
