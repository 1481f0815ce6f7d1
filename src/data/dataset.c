/* SPDX-License-Identifier: MIT
 *
 * Uses an open data set: names its samples and reads its pictures.
 */
#include "data/dataset.h"
#include "base/error.h"
#include "base/string.h"
#include "image/decode.h"
#include "image/prepare.h"

#include <ctype.h>
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
    for (size_t i = 0; i < dataset->shard_count; i++) {
        file_map_close(&dataset->shards[i].map);
        free(dataset->shards[i].path);
    }
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

static bool is_absolute(const char *path)
{
    return path[0] == '/' || path[0] == '\\' || (isalpha((unsigned char)path[0]) && path[1] == ':');
}

char *dataset_name(const struct dataset *dataset, size_t number)
{
    const struct dataset_sample *sample = &dataset->samples[number];
    if (sample->shard != DATASET_FILE)
        return string_format("%s: %s", dataset->shards[sample->shard].path, sample->name);
    return string_format("%s%s", is_absolute(sample->name) ? "" : dataset->folder, sample->name);
}

int dataset_load(const struct dataset *dataset, size_t number, struct vkclip_image *image)
{
    const struct dataset_sample *sample = &dataset->samples[number];
    *image = (struct vkclip_image){0};
    char *name = dataset_name(dataset, number);
    if (!name)
        return dataset_no_memory(dataset);
    int error = VKCLIP_OK;
    if (sample->shard == DATASET_FILE)
        error = image_load(name, NULL, image, NULL);
    else
        error = image_decode(dataset->shards[sample->shard].map.data + sample->offset,
                             (size_t)sample->size, name, NULL, image, NULL);
    if (!error)
        image_make_rgb(image); /* Crops and changes of colour are of RGB. */
    free(name);
    return error;
}
