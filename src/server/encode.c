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
    snprintf(item->name, sizeof(item->name), "%s", name);
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
    const char *name = *item->name ? item->name : "the picture";
    int error = vkclip_decode_image(item->data, item->size, name, &params, &image);
    if (error)
        return error;
    item->width = image.width;
    item->height = image.height;
    error = vkclip_preprocess(model->model, &image, NULL, pixel_values);
    vkclip_free_image(&image);
    return error;
}

/* ---- Batches ------------------------------------------------------------------------------------- */

/* The items of one kind that are encoded at once. */
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
    job->raw = chunk->items[chunk->numbers[0]].raw;
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

/* The rows of a batch have one length. */
static int encode_tokens(const struct chunk *chunk)
{
    struct batch_job job = {.tower = VKCLIP_TOWER_TEXT,
                            .dim = chunk->model->info.text_embed_dim,
                            .token_count = chunk->items[chunk->numbers[0]].token_count};
    const int32_t **tokens = calloc(chunk->count, sizeof(*tokens));
    if (!tokens)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu rows of tokens", chunk->count);
    for (size_t i = 0; i < chunk->count; i++)
        tokens[i] = chunk->items[chunk->numbers[i]].data;
    job.tokens = tokens;
    const int error = run_chunk(chunk, &job);
    free(tokens);
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

typedef int encode_fn(const struct chunk *chunk);

static encode_fn *find_function(const struct encode_item *item)
{
    if (item->text)
        return encode_texts;
    return item->token_count ? encode_tokens : encode_pictures;
}

/* Encodes the items which are encoded as number `first` is, and that number itself first. */
static int encode_alike(struct chunk *chunk, size_t first, size_t count, uint32_t most, bool *done)
{
    const size_t token_count = chunk->items[first].token_count;
    encode_fn *const encode = find_function(&chunk->items[first]);
    for (size_t i = first; i < count;) {
        for (chunk->count = 0; i < count && chunk->count < most; i++) {
            const struct encode_item *item = &chunk->items[i];
            if (done[i] || find_function(item) != encode || item->token_count != token_count)
                continue;
            done[i] = true;
            chunk->numbers[chunk->count++] = i;
        }
        const int error = chunk->count ? encode(chunk) : VKCLIP_OK;
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
    bool *done = calloc(count + 1, sizeof(*done));
    chunk.numbers = calloc(most, sizeof(*chunk.numbers));
    int error = done && chunk.numbers
                    ? VKCLIP_OK
                    : error_fail(VKCLIP_EMEMORY, "out of memory for %zu items", count);
    for (size_t i = 0; !error && i < count; i++)
        if (!done[i])
            error = encode_alike(&chunk, i, count, most, done);
    free(chunk.numbers);
    free(done);
    return error;
}
