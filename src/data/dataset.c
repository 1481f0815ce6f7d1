/* SPDX-License-Identifier: MIT
 *
 * Uses an open data set: names its samples and reads its pictures.
 */
#include "data/dataset.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"

#include <stdlib.h>

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
    for (size_t i = 0; i < dataset->shard_count; i++)
        free(dataset->shards[i].path);
    while (dataset->chunks) {
        struct dataset_chunk *earlier = dataset->chunks->earlier;
        free(dataset->chunks);
        dataset->chunks = earlier;
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
    return string_format("%s%s", file_is_absolute(sample->name) ? "" : dataset->folder,
                         sample->name);
}

/* Loads a picture, whose place in the shard holds only while the shard is unchanged. It is opened
 * for every picture, because a process may have fewer files open than data sets have shards. */
static int load_from_shard(const struct dataset *dataset, const struct dataset_sample *sample,
                           const char *name, const struct image_options *options,
                           struct vkclip_image *image)
{
    const struct dataset_shard *shard = &dataset->shards[sample->shard];
    struct file_map map;
    int error = file_open(shard->path, &map);
    if (error)
        return error;
    if (map.stamp.size != shard->stamp.size || map.stamp.modified != shard->stamp.modified)
        error =
            error_fail(VKCLIP_EIO, "%s: was written to after its samples were listed", shard->path);
    else
        error =
            image_load_part(&map, sample->offset, (size_t)sample->size, name, options, image, NULL);
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
    if (sample->shard == DATASET_FILE)
        error = image_load(name, options, image, NULL);
    else
        error = load_from_shard(dataset, sample, name, options, image);
    free(name);
    return error;
}
