/* SPDX-License-Identifier: MIT
 *
 * Uses an open data set: names its samples and reads its pictures.
 */
#include "data/dataset.h"
#include "base/error.h"
#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"

int dataset_no_memory(const struct dataset *dataset)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory for a data set of %zu pictures",
                      dataset->path ? dataset->path : "data set", dataset->count);
}

void dataset_close(struct dataset **handle)
{
    struct dataset *dataset = *handle;
    if (!dataset)
        return;
    for (size_t i = 0; i < dataset->file_count; i++) {
        gzip_free_places(&dataset->files[i].places);
        memory_free(dataset->files[i].path);
    }
    for (size_t i = 0; i < dataset->source_count; i++)
        memory_free(dataset->sources[i].path);
    while (dataset->chunks) {
        struct dataset_chunk *earlier = dataset->chunks->earlier;
        memory_free(dataset->chunks);
        dataset->chunks = earlier;
    }
    safetensors_close(&dataset->prepared);
    memory_free(dataset->sources);
    memory_free(dataset->files);
    memory_free(dataset->samples);
    memory_free(dataset->captions);
    memory_free(dataset->path);
    memory_free(dataset);
    *handle = NULL;
}

char *dataset_name(const struct dataset *dataset, size_t number)
{
    const struct dataset_sample *sample = &dataset->samples[number];
    const char *path = dataset->files[sample->file].path;
    if (!dataset->files[sample->file].is_table)
        return string_format("%s: %s", path, sample->name);
    const int folder = file_is_absolute(sample->name) ? 0 : (int)(file_name(path) - path);
    return string_format("%.*s%s", folder, path, sample->name);
}

static int read_plain(void *user, uint64_t offset, size_t size, void *copy)
{
    return file_map_read(user, offset, size, copy);
}

static int read_compressed(void *user, uint64_t offset, size_t size, void *copy)
{
    return gzip_read(user, offset, size, copy);
}

/* Loads a picture, whose place in the shard holds only while the shard is unchanged. It is opened
 * for every picture, because a process may have fewer files open than data sets have shards. */
static int load_from_shard(const struct dataset *dataset, const struct dataset_sample *sample,
                           const char *name, const struct image_options *options,
                           struct vkclip_image *image)
{
    const struct dataset_file *shard = &dataset->files[sample->file];
    struct file_map map;
    struct gzip *gzip = NULL;
    int error = file_open(shard->path, &map);
    if (error)
        return error;
    struct image_part part = {read_plain, &map, sample->offset, (size_t)sample->size, name};
    if (map.stamp.size != shard->stamp.size || map.stamp.modified != shard->stamp.modified)
        error =
            error_fail(VKCLIP_EIO, "%s: was written to after its samples were listed", shard->path);
    else if (shard->places)
        error = gzip_open(&map, shard->places, &gzip);
    if (gzip) {
        part.read = read_compressed;
        part.user = gzip;
    }
    if (!error)
        error = image_load_part(&part, options, image, NULL);
    gzip_close(&gzip);
    file_map_close(&map);
    return error;
}

int dataset_load(const struct dataset *dataset, size_t number, const struct image_options *options,
                 struct vkclip_image *image)
{
    const struct dataset_sample *sample = &dataset->samples[number];
    *image = (struct vkclip_image){0};
    char *name = dataset_name(dataset, number);
    if (!name)
        return dataset_no_memory(dataset);
    int error = VKCLIP_OK;
    if (dataset->files[sample->file].is_table)
        error = image_load(name, options, image, NULL);
    else
        error = load_from_shard(dataset, sample, name, options, image);
    memory_free(name);
    return error;
}

/* ---- The first pictures ---------------------------------------------------------------------- */

/* Drops the messages of pictures that are only tried. */
static void drop_message(void *user, enum vkclip_log_level level, const char *text)
{
    (void)user, (void)level, (void)text;
}

static bool can_load(const struct dataset *dataset, size_t number)
{
    struct vkclip_image image;
    const struct log_target outer = log_redirect((struct log_target){.log = drop_message});
    const int error = dataset_load(dataset, number, NULL, &image);
    log_redirect(outer);
    image_free(&image);
    return !error;
}

static int check_source(const struct dataset *dataset, const struct dataset_source *source)
{
    enum { TRIED = 8 }; /* One broken picture is no reason to stop. */
    const size_t count = source->count < TRIED ? source->count : TRIED;
    const bool is_table = dataset->files[dataset->samples[source->first].file].is_table;
    char reason[ERROR_MESSAGE] = "";
    for (size_t i = 0; i < count; i++) {
        if (can_load(dataset, source->first + i))
            return VKCLIP_OK;
        if (!i)
            snprintf(reason, sizeof(reason), "%s", error_last());
    }
    return error_fail(VKCLIP_EFORMAT, "%s: none of its first %zu pictures can be read: %s%s",
                      source->path, count, reason,
                      is_table ? ": expected paths from the folder of the table on in the column "
                                 "that `csv_img_key` names (filepath)"
                               : "");
}

int dataset_check(const struct dataset *dataset)
{
    int error = VKCLIP_OK;
    for (size_t i = 0; i < dataset->source_count && !error; i++)
        error = check_source(dataset, &dataset->sources[i]);
    return error;
}
