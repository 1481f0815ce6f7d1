/* SPDX-License-Identifier: MIT
 *
 * Pictures are decoded on the threads of requests and on those of one pool, as many at once as
 * there are processors, so that the memory of decoded pictures stays bounded.
 */
#define _GNU_SOURCE /* strndup, strnlen */
#include "server/encode.h"
#include "base/base64.h"
#include "base/string.h"
#include "base/workers.h"
#include "server/connections.h"
#include "server/forward.h"
#include "server/internal.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* What a number of an embedding takes until its request ends, as a float and in JSON. */
    NUMBER_BYTES = 48,
    /* Of a text, no more is looked at: it has more tokens than models take. Making tokens of it
     * takes many times its memory, and for 20 MB a second of the thread that does so for all
     * requests. */
    MOST_TEXT = 64 << 10
};

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
    if (!request_hold(request, strlen(text) / 4 * 3))
        return request_fail_memory();
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

/* ---- Chunks ------------------------------------------------------------------------------------- */

/* Some items that are encoded as one job. */
struct chunk {
    const struct alike *alike;
    size_t first; /* of the numbers of `alike` */
    struct batch_job job;
    char **cut; /* [job.count] the beginning of each text that is too long; NULL for others */
    bool started;
};

/* The items of a request that may be in one batch. While the device computes one chunk of them, the
 * next one is prepared. */
struct alike {
    struct request *request;
    const struct loaded_model *model;
    struct encode_item *items;
    size_t *numbers; /* [count] which of `items` */
    size_t count;
    size_t most;           /* items of a chunk */
    float *embeds;         /* of all items */
    struct batch_job form; /* of the jobs: what they have in common */
    struct chunk chunks[2];
};

static struct encode_item *chunk_item(const struct chunk *chunk, size_t index)
{
    return &chunk->alike->items[chunk->alike->numbers[chunk->first + index]];
}

/* What was allocated before an error is freed by finish_chunk. */
static int allocate_chunk(struct chunk *chunk)
{
    struct batch_job *job = &chunk->job;
    job->embeds = malloc(job->count * job->dim * sizeof(float));
    if (job->tower == VKCLIP_TOWER_IMAGE)
        job->pixel_values = malloc(job->count * job->pixels * sizeof(float));
    else if (job->token_count)
        job->tokens = calloc(job->count, sizeof(*job->tokens));
    else
        job->texts = calloc(job->count, sizeof(*job->texts));
    if (job->texts)
        chunk->cut = calloc(job->count, sizeof(*chunk->cut));
    if (!job->embeds || (!job->pixel_values && !job->tokens && !chunk->cut))
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu items", job->count);
    return VKCLIP_OK;
}

static int decode_picture(const struct alike *alike, struct encode_item *item, float *pixel_values)
{
    const struct vkclip_image_params params = {
        .size = sizeof(params),
        .max_pixels = alike->request->server->options.max_pixels,
        .orient = !item->as_stored,
        .least_side = item->exact ? 0 : 2 * alike->model->info.image_size};
    struct vkclip_image image;
    const char *name = *item->name ? item->name : "the picture";
    int error = vkclip_decode_image(item->data, item->size, name, &params, &image);
    if (error)
        return error;
    item->width = image.width;
    item->height = image.height;
    error = vkclip_preprocess(alike->model->model, &image, NULL, pixel_values);
    vkclip_free_image(&image);
    return error;
}

/* Is a workers_job_fn. */
static int prepare_picture(void *user, size_t index, unsigned thread)
{
    struct chunk *chunk = user;
    const struct alike *alike = chunk->alike;
    struct gate *gate = alike->request->server->decoding;
    int error = gate_enter(gate, alike->request, 1);
    (void)thread;
    if (error)
        return error;
    error = decode_picture(alike, chunk_item(chunk, index),
                           chunk->job.pixel_values + index * chunk->job.pixels);
    gate_leave(gate, 1);
    return error;
}

size_t encode_text_length(const char *text)
{
    size_t length = strnlen(text, MOST_TEXT);
    while (length && (text[length] & 0xC0) == 0x80)
        length--;
    return length;
}

static int prepare_text(struct chunk *chunk, size_t index)
{
    const char *text = chunk_item(chunk, index)->text;
    const size_t length = encode_text_length(text);
    chunk->job.texts[index] = text;
    if (!text[length])
        return VKCLIP_OK;
    chunk->job.texts[index] = chunk->cut[index] = strndup(text, length);
    return chunk->cut[index] ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for a text");
}

static int prepare_chunk(struct chunk *chunk)
{
    struct batch_job *job = &chunk->job;
    int error = VKCLIP_OK;
    for (size_t i = 0; job->texts && i < job->count && !error; i++)
        error = prepare_text(chunk, i);
    if (error)
        return error;
    for (size_t i = 0; job->tokens && i < job->count; i++)
        job->tokens[i] = chunk_item(chunk, i)->data;
    if (!job->pixel_values)
        return VKCLIP_OK;
    return workers_run(chunk->alike->request->server->workers, prepare_picture, chunk, job->count);
}

static int start_chunk(const struct alike *alike, size_t first, struct chunk *chunk)
{
    const size_t left = alike->count - first;
    *chunk = (struct chunk){.alike = alike, .first = first, .job = alike->form};
    chunk->job.count = left < alike->most ? left : alike->most;
    int error = allocate_chunk(chunk);
    if (!error)
        error = prepare_chunk(chunk);
    if (error)
        return error;
    batcher_start(alike->request->server->batcher, &chunk->job);
    chunk->started = true;
    return VKCLIP_OK;
}

/* Waits for a chunk, if it was started, takes its embeddings, and frees it. */
static int finish_chunk(struct alike *alike, struct chunk *chunk)
{
    struct batch_job *job = &chunk->job;
    int error = VKCLIP_OK;
    if (chunk->started)
        error = batcher_wait(alike->request->server->batcher, alike->request, job);
    for (size_t i = 0; !error && chunk->started && i < job->count; i++)
        memcpy(alike->embeds + alike->numbers[chunk->first + i] * job->dim,
               job->embeds + i * job->dim, job->dim * sizeof(float));
    for (size_t i = 0; chunk->cut && i < job->count; i++)
        free(chunk->cut[i]);
    free(chunk->cut);
    free(job->embeds);
    free(job->texts);
    free(job->tokens);
    free(job->pixel_values);
    *chunk = (struct chunk){.alike = NULL};
    return error;
}

static int encode_chunks(struct alike *alike)
{
    int error = VKCLIP_OK;
    size_t turn = 0;
    for (size_t first = 0; !error && first < alike->count; first += alike->most, turn ^= 1) {
        error = finish_chunk(alike, &alike->chunks[turn]);
        if (!error)
            error = start_chunk(alike, first, &alike->chunks[turn]);
    }
    for (size_t i = 0; i < 2; i++) {
        const int later = finish_chunk(alike, &alike->chunks[turn ^ i]);
        error = error ? error : later;
    }
    return error;
}

/* ---- Requests ------------------------------------------------------------------------------------ */

/* Says what the jobs of items like this one have in common. */
static void find_form(struct alike *alike, const struct encode_item *item)
{
    const struct vkclip_model_info *info = &alike->model->info;
    struct batch_job *form = &alike->form;
    const struct connection *from = alike->request->from;
    *form = (struct batch_job){
        .model = alike->model->model, .raw = item->raw, .client = from ? from->peer : 0};
    if (item->text || item->token_count) {
        form->tower = VKCLIP_TOWER_TEXT;
        form->dim = info->text_embed_dim;
        form->token_count = item->text ? 0 : item->token_count;
    } else {
        form->tower = VKCLIP_TOWER_IMAGE;
        form->dim = info->embed_dim;
        form->pixels = 3 * (size_t)info->image_size * info->image_size;
    }
}

static bool is_alike(const struct encode_item *a, const struct encode_item *b)
{
    return !a->text == !b->text && (a->text || a->token_count == b->token_count);
}

/* Pixel values of all requests have a limit, which a request enters once for all its chunks. A
 * picture alone counts for nothing, so that it does not wait for the end of long requests. */
static int encode_alike(struct alike *alike)
{
    struct server *server = alike->request->server;
    const bool pictures = alike->form.tower == VKCLIP_TOWER_IMAGE;
    alike->most = pictures ? server->options.batch_size : alike->count;
    const size_t held = alike->count < 2 * alike->most ? alike->count : 2 * alike->most;
    const size_t bytes = held * alike->form.pixels * sizeof(float);
    const bool counts = pictures && alike->count > 1;
    int error = models_prepare(server->models, alike->request, alike->model, alike->form.tower);
    if (!error && counts)
        error = gate_enter(server->prepared, alike->request, bytes);
    if (error)
        return error;
    error = encode_chunks(alike);
    if (counts)
        gate_leave(server->prepared, bytes);
    return error;
}

int encode_items(struct request *request, const struct loaded_model *model,
                 struct encode_item *items, size_t count, float *embeds)
{
    struct alike alike = {.request = request, .model = model, .items = items, .embeds = embeds};
    if (!request_hold(request, count * model->info.embed_dim * NUMBER_BYTES))
        return request_fail_memory();
    bool *done = calloc(count + 1, sizeof(*done));
    alike.numbers = calloc(count + 1, sizeof(*alike.numbers));
    int error = done && alike.numbers
                    ? VKCLIP_OK
                    : error_fail(VKCLIP_EMEMORY, "out of memory for %zu items", count);
    for (size_t first = 0; !error && first < count; first++) {
        if (done[first])
            continue;
        alike.count = 0;
        find_form(&alike, &items[first]);
        for (size_t i = first; i < count; i++)
            if (!done[i] && is_alike(&items[i], &items[first])) {
                done[i] = true;
                alike.numbers[alike.count++] = i;
            }
        error = encode_alike(&alike);
    }
    free(alike.numbers);
    free(done);
    return error;
}
