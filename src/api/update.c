/* SPDX-License-Identifier: MIT
 *
 * The encoder asks for picture number i on one of its threads, which takes the next entry of the
 * pass, decodes and prepares it. What needs no encoding is settled within the pass, so numbers at
 * the end may remain without an entry; they are left out, and a batch of them is not computed.
 */
#include "api/update.h"
#include "base/array.h"
#include "base/file.h"
#include "base/memory.h"
#include "checkpoint/inputs.h"
#include "encode/call.h"
#include "encode/identity.h"
#include "encode/pictures.h"
#include "image/decode.h"
#include "image/prepare.h"
#include "image/thumbnail.h"
#include "search/pass.h"
#include "search/walk.h"

#include <math.h>
#include <stdio.h>

/* The longer side of a thumbnail fits a grid of results on a dense screen. */
enum { THUMBNAIL_SIDE = 256 };

struct update {
    struct vkclip_model *model;
    struct vkclip_update_params params;
    struct image_transform transform;
    struct pass *pass;
    /* Picture i has place i % CALL_WINDOW: the encoder begins no picture this many places after the
     * first whose result was not given out. */
    struct pass_entry *entries[CALL_WINDOW];
};

/* ---- Preparing ------------------------------------------------------------------------------- */

/* Pictures may be decoded at a scale that is twice as large as the model's input, because less
 * would be seen in the embedding. */
static struct image_options choose_options(const struct update *update,
                                           const struct pass_entry *entry)
{
    struct image_options options = {.max_pixels = update->params.max_pixels, .orient = true};
    const uint32_t side = entry->encoded ? 0 : 2 * update->transform.size;
    const uint32_t thumbnail_side = entry->wants_thumbnail ? THUMBNAIL_SIDE : 0;
    if (!update->params.exact_decode)
        options.least_side = side > thumbnail_side ? side : thumbnail_side;
    return options;
}

static int decode_entry(const struct update *update, struct pass_entry *entry,
                        struct image_memory *memory, struct vkclip_image *image)
{
    struct image_options options = choose_options(update, entry);
    options.memory = memory;
    int error = pass_load_data(entry);
    if (!error)
        error = image_decode(entry->data, entry->size, entry->path, &options, image, &entry->facts);
    pass_release_data(entry);
    return error;
}

static int prepare_entry(const struct update *update, struct pass_entry *entry,
                         struct replica_memory *memory, uint8_t *rgb)
{
    struct vkclip_image image = {0};
    int error = decode_entry(update, entry, &memory->decode, &image);
    if (!error && !entry->encoded)
        error = image_prepare(&image, &update->transform, &memory->resize, rgb);
    if (!error && entry->wants_thumbnail && !entry->thumbnail) {
        image_make_rgb(&image);
        error =
            image_make_thumbnail(&image, THUMBNAIL_SIDE, &entry->thumbnail, &entry->thumbnail_size);
    }
    image_keep(&image, &memory->decode);
    return error;
}

/* Is `prepare` of struct pictures. A picture is asked for again if its device was lost; if it has
 * failed before, or needed only a thumbnail, another entry takes its number. */
static int give_picture(void *user, size_t index, struct replica_memory *memory, uint8_t *rgb)
{
    struct update *update = user;
    struct pass_entry **place = &update->entries[index % CALL_WINDOW];
    for (;;) {
        if (!*place)
            *place = pass_next(update->pass);
        if (!*place)
            return BATCHES_LEFT_OUT;
        const int error = prepare_entry(update, *place, memory, rgb);
        if (!error && !(*place)->encoded)
            return VKCLIP_OK;
        if (error)
            pass_fail(update->pass, *place, error, error_last());
        else
            pass_finish(update->pass, *place, NULL);
        *place = NULL;
    }
}

/* ---- Results --------------------------------------------------------------------------------- */

static bool is_finite(const float *values, size_t count)
{
    while (count && isfinite(values[count - 1]))
        count--;
    return !count;
}

/* Is a vkclip_item_fn. */
static int take_embedding(void *user, const struct vkclip_item *item)
{
    struct update *update = user;
    struct pass_entry **place = &update->entries[item->index % CALL_WINDOW];
    if (!*place)
        return 0;
    if (item->error)
        pass_fail(update->pass, *place, item->error, item->message);
    else if (!is_finite(item->embed, update->model->info.embed_dim))
        pass_fail(update->pass, *place, VKCLIP_EINVALID,
                  "the embedding has numbers that are not finite: try another `precision`");
    else
        pass_finish(update->pass, *place, item->embed);
    *place = NULL;
    return 0;
}

/* Is a vkclip_progress_fn, which is called after each batch. */
static int end_batch(void *user, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    return pass_flush(((struct update *)user)->pass);
}

static int encode_pass(void *user, struct pass *pass, uint64_t count)
{
    struct update *update = user;
    const struct pictures pictures = {.prepare = give_picture};
    const struct vkclip_encode_params params = {
        .item = take_embedding, .progress = end_batch, .user = update};
    update->pass = pass;
    return pictures_encode(update->model, &pictures, (size_t)count, &params, NULL);
}

/* ---- The call -------------------------------------------------------------------------------- */

int update_describe_model(const struct vkclip_index *index, const struct vkclip_model *model,
                          struct vkclip_index_model *described)
{
    char identity[IDENTITY_SIZE];
    *described = (struct vkclip_index_model){.embed_dim = model->info.embed_dim};
    char *path = file_resolve(model->info.weights_path);
    snprintf(described->name, sizeof(described->name), "%s",
             path ? path : model->info.weights_path);
    memory_free(path);
    int error = identity_of_model(model, index->cache_folder, identity);
    if (!error)
        snprintf(described->identity, sizeof(described->identity), "%s", identity);
    return error;
}

/* Checks the model before a long walk: encoding no picture does that. */
static int check_model(struct vkclip_model *model)
{
    const struct pictures pictures = {.prepare = give_picture};
    return pictures_encode(model, &pictures, 0, NULL, NULL);
}

int update_index(struct vkclip_index *index, struct vkclip_model *model, const char *const *paths,
                 size_t count, const struct vkclip_update_params *params,
                 struct vkclip_update_result *result)
{
    struct update *update = memory_calloc(1, sizeof(*update));
    *result = (struct vkclip_update_result){0};
    if (!update)
        return error_fail(VKCLIP_EMEMORY, "out of memory for an update of the index");
    update->params = *params;
    update->model = model;
    update->transform = checkpoint_image_transform(&model->spec.config);
    struct pass_params pass = {.update = update->params, .encode = encode_pass, .user = update};
    int error = check_model(model);
    if (!error)
        error = update_describe_model(index, model, &pass.model);
    if (!error)
        error = pass_run(index, &pass, paths, count, result);
    memory_free(update);
    return error;
}
