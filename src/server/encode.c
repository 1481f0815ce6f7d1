/* SPDX-License-Identifier: MIT
 *
 * Pictures are decoded on the threads of requests, as many at once as there are processors, so that
 * the memory of decoded pictures stays bounded.
 */
#include "server/encode.h"
#include "base/base64.h"
#include "base/string.h"
#include "server/forward.h"
#include "server/internal.h"

#include <stdlib.h>
#include <string.h>

/* ---- Pictures as clients write them -------------------------------------------------------------- */

int encode_read_picture(struct request *request, const char *text, const char *name,
                        struct encode_item *item)
{
    if (string_begins_with(text, "http://") || string_begins_with(text, "https://"))
        return forward_fetch(request, text, name, &item->data, &item->size);
    if (string_begins_with(text, "data:")) {
        const char *comma = strchr(text, ',');
        if (!comma || comma - text < 7 || strncmp(comma - 7, ";base64", 7))
            return error_fail(VKCLIP_EINVALID,
                              "%s: expected a data URL as data:image/png;base64,...", name);
        text = comma + 1;
    }
    item->data = base64_decode(text, &item->size);
    if (!item->data || !item->size)
        return error_fail(VKCLIP_EINVALID, "%s: the picture is not base64", name);
    return VKCLIP_OK;
}

void encode_free(struct encode_item *items, size_t count)
{
    for (size_t i = 0; items && i < count; i++)
        free(items[i].data);
    free(items);
}

static int prepare_picture(struct request *request, const struct loaded_model *model,
                           struct encode_item *item, float *pixel_values)
{
    const struct vkclip_image_params params = {.size = sizeof(params),
                                               .max_pixels = request->server->options.max_pixels,
                                               .orient = !item->as_stored,
                                               .least_side =
                                                   item->exact ? 0 : 2 * model->info.image_size};
    struct vkclip_image image;
    int error = vkclip_decode_image(item->data, item->size, "the picture", &params, &image);
    if (error)
        return error;
    item->width = image.width;
    item->height = image.height;
    error = vkclip_preprocess(model->model, &image, NULL, pixel_values);
    vkclip_free_image(&image);
    return error;
}

/* ---- Batches ------------------------------------------------------------------------------------- */

/* The items of one tower that are encoded at once. */
struct chunk {
    struct request *request;
    const struct loaded_model *model;
    struct encode_item *items;
    size_t *numbers; /* of the chunk's items in `items` */
    size_t count;
    float *embeds; /* of all items */
};

static int run_chunk(const struct chunk *chunk, struct batch_job *job)
{
    const size_t dim = job->dim;
    job->model = chunk->model->model;
    job->count = chunk->count;
    job->embeds = malloc(chunk->count * dim * sizeof(float));
    if (!job->embeds)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu embeddings", chunk->count);
    const int error = batcher_run(chunk->request->server->batcher, chunk->request, job);
    for (size_t i = 0; !error && i < chunk->count; i++)
        memcpy(chunk->embeds + chunk->numbers[i] * dim, job->embeds + i * dim, dim * sizeof(float));
    free(job->embeds);
    return error;
}

static int encode_texts(const struct chunk *chunk)
{
    struct batch_job job = {.tower = VKCLIP_TOWER_TEXT, .dim = chunk->model->info.text_embed_dim};
    const char **texts = calloc(chunk->count, sizeof(*texts));
    if (!texts)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu texts", chunk->count);
    for (size_t i = 0; i < chunk->count; i++)
        texts[i] = chunk->items[chunk->numbers[i]].text;
    job.texts = texts;
    const int error = run_chunk(chunk, &job);
    free(texts);
    return error;
}

static int encode_pictures(const struct chunk *chunk)
{
    const size_t side = chunk->model->info.image_size;
    struct batch_job job = {.tower = VKCLIP_TOWER_IMAGE,
                            .dim = chunk->model->info.embed_dim,
                            .pixels = 3 * side * side};
    float *pixel_values = malloc(chunk->count * job.pixels * sizeof(float));
    int error = pixel_values
                    ? VKCLIP_OK
                    : error_fail(VKCLIP_EMEMORY, "out of memory for %zu pictures", chunk->count);
    for (size_t i = 0; !error && i < chunk->count; i++)
        error = prepare_picture(chunk->request, chunk->model, &chunk->items[chunk->numbers[i]],
                                pixel_values + i * job.pixels);
    job.pixel_values = pixel_values;
    if (!error)
        error = run_chunk(chunk, &job);
    free(pixel_values);
    return error;
}

static int encode_tower(struct chunk *chunk, size_t count, bool texts, uint32_t most)
{
    for (size_t i = 0; i < count;) {
        for (chunk->count = 0; i < count && chunk->count < most; i++)
            if (!chunk->items[i].text != texts)
                chunk->numbers[chunk->count++] = i;
        if (!chunk->count)
            break;
        const int error = texts ? encode_texts(chunk) : encode_pictures(chunk);
        if (error)
            return error;
    }
    return VKCLIP_OK;
}

int encode_items(struct request *request, const struct loaded_model *model,
                 struct encode_item *items, size_t count, float *embeds)
{
    const uint32_t most = request->server->options.batch_size;
    struct chunk chunk = {.request = request, .model = model, .items = items, .embeds = embeds};
    chunk.numbers = calloc(most, sizeof(*chunk.numbers));
    if (!chunk.numbers)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu items", count);
    int error = encode_tower(&chunk, count, true, most);
    if (!error)
        error = encode_tower(&chunk, count, false, most);
    free(chunk.numbers);
    return error;
}
