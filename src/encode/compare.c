/* SPDX-License-Identifier: MIT
 *
 * Measures how much a conversion changes embeddings: two models encode fixed pictures and texts,
 * one after the other. The result holds for these inputs only. Refuses models whose embeddings have
 * different widths.
 */
#include "encode/compare.h"
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/progress.h"
#include "encode/pictures.h"
#include "encode/texts.h"

#include <math.h>
#include <string.h>

enum { PICTURES = 12, WIDTH = 96, HEIGHT = 72, CHANNELS = 3, SHORTEST = 9 };

static const char *const texts[] = {
    "a photo of a cat",
    "a dog that runs along the beach",
    "two people on a bridge in the rain, seen from behind",
    "a red bicycle against a white wall",
    "a bowl of soup with bread and herbs on a wooden table",
    "an aerial view of a city at night",
    "a drawing of a ghost",
    "42",
    "the quick brown fox jumps over the lazy dog",
    "a close-up of a circuit board, in shallow focus",
    "snow",
    "a black and white portrait of an old man with a hat",
};
#define TEXTS ARRAY_COUNT(texts)

/* Embeddings of the fixed inputs that one model computed. */
struct embeds {
    struct vkclip_model_info info;
    float *images, *texts;
    int32_t *ids; /* [TEXTS,context] */
};

/* Computes one colour channel of one pixel. Every picture has a pattern of its own, computed in
 * integers so that it is the same on every machine. */
static uint8_t draw_sample(int item, int x, int y, int channel)
{
    const int size = 5 + item * 3 % 11 + channel, dx = x - WIDTH / 2, dy = y - HEIGHT / 2;
    const uint32_t noise = (uint32_t)x / 4 * 73856093u ^ (uint32_t)y / 4 * 19349663u ^
                           (uint32_t)(item * 3 + channel) * 83492791u;
    switch (item % 6) {
    case 0: /* a slope */
        return (uint8_t)((x * (channel + 1) + y * (3 - channel)) % 256);
    case 1: /* checks */
        return (x / size + y / size) % 2 ? 230 : 25;
    case 2: /* rings */
        return (uint8_t)((dx * dx + dy * dy) / (size * 4) % 256);
    case 3: /* squares of random colours */
        return (uint8_t)(noise * 2654435761u >> 24);
    case 4: /* a disc on a slope */
        return dx * dx + dy * dy < 500 + 40 * size ? (uint8_t)(80 * channel + 40)
                                                   : (uint8_t)(x + y);
    default: /* stripes */
        return (uint8_t)((x + y * (channel + 1)) / size % 2 * 170 + item * 5);
    }
}

static uint8_t *make_pictures(struct vkclip_image images[PICTURES])
{
    const size_t bytes = (size_t)WIDTH * HEIGHT * CHANNELS;
    uint8_t *pixels = memory_alloc(PICTURES * bytes);
    for (size_t i = 0; pixels && i < PICTURES * bytes; i++) {
        const size_t pixel = i % bytes / CHANNELS;
        pixels[i] = draw_sample((int)(i / bytes), (int)(pixel % WIDTH), (int)(pixel / WIDTH),
                                (int)(i % CHANNELS));
    }
    for (size_t i = 0; pixels && i < PICTURES; i++)
        images[i] = (struct vkclip_image){
            .pixels = pixels + i * bytes, .width = WIDTH, .height = HEIGHT, .channels = CHANNELS};
    return pixels;
}

/* Makes ids from all over the token table. The table's two last ids serve as start and end of text.
 */
static void invent_ids(size_t text, uint32_t context, uint32_t entries, int32_t *ids)
{
    for (uint32_t i = 0; i < context; i++) {
        const bool inside = i > 0 && i < SHORTEST + text && i + 1 < context;
        const uint32_t random = (uint32_t)((text * 7919 + i) * 2654435761u) % entries;
        if (!inside)
            ids[i] = (int32_t)(i ? entries - 1 : entries - 2);
        else
            ids[i] = (int32_t)(random < entries - 2 ? random : 0);
    }
}

/* Makes the ids of the texts with the model's vocabulary. A model without one gets the ids of the
 * model `before`, so that both encode the same, or invented ids. */
static int make_ids(const struct vkclip_model *model, const struct embeds *before,
                    struct embeds *embeds)
{
    const uint32_t context = embeds->info.context;
    int error = VKCLIP_OK;
    for (size_t t = 0; t < TEXTS && !error; t++) {
        int32_t *ids = &embeds->ids[t * context];
        size_t count;
        if (embeds->info.tokenizer)
            error = texts_tokenize(model, texts[t], strlen(texts[t]), VKCLIP_TOKENIZE_PAD, ids,
                                   context, &count);
        else if (before && before->info.context == context)
            memcpy(ids, &before->ids[t * context], context * sizeof(*ids));
        else
            invent_ids(t, context, embeds->info.vocabulary, ids);
    }
    return error;
}

static int encode_inputs(struct vkclip_model *model, const struct embeds *before,
                         struct embeds *embeds)
{
    const struct vkclip_model_info *info = &embeds->info;
    struct vkclip_image images[PICTURES];
    uint8_t *pixels = make_pictures(images);
    embeds->images = memory_alloc((PICTURES * (size_t)info->embed_dim + 1) * sizeof(float));
    embeds->texts = memory_alloc((TEXTS * (size_t)info->text_embed_dim + 1) * sizeof(float));
    embeds->ids = memory_alloc((TEXTS * (size_t)info->context + 1) * sizeof(int32_t));
    const struct pictures pictures = {.images = images};
    const struct text_items items = {.ids = embeds->ids, .width = info->context};
    int error = VKCLIP_OK;
    if (!pixels || !embeds->images || !embeds->texts || !embeds->ids)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for comparing models");
    const uint64_t done = before ? PICTURES + TEXTS : 0, total = 2 * (PICTURES + TEXTS);
    if (!error)
        error = progress_tell(done, total);
    if (!error && info->image.width)
        error = pictures_encode(model, &pictures, PICTURES, NULL, embeds->images);
    if (!error)
        error = progress_tell(done + PICTURES, total);
    if (!error && info->text.width)
        error = make_ids(model, before, embeds);
    if (!error && info->text.width)
        error = texts_encode(model, &items, TEXTS, NULL, embeds->texts);
    if (!error)
        error = progress_tell(done + PICTURES + TEXTS, total);
    memory_free(pixels);
    return error;
}

static int encode_with(struct vkclip_device *device, const char *path,
                       const struct vkclip_model_params *params, const struct embeds *before,
                       struct embeds *embeds)
{
    static const struct vkclip_model_params defaults;
    struct vkclip_model *model = NULL;
    int error = model_open(device, path, params ? params : &defaults, &model);
    if (!error) {
        embeds->info = model->info;
        error = encode_inputs(model, before, embeds);
    }
    model_close(&model);
    return error;
}

static void free_embeds(struct embeds *embeds)
{
    memory_free(embeds->images);
    memory_free(embeds->texts);
    memory_free(embeds->ids);
}

/* Finds the least and the mean cosine of rows [count,dim]. Rows that contain NaN count as opposite
 * vectors. */
static void compare_rows(const float *a, const float *b, size_t count, size_t dim, double *least,
                         double *mean)
{
    *least = 1;
    *mean = 0;
    for (size_t i = 0; i < count; i++) {
        double dot = 0, aa = 0, bb = 0;
        for (size_t d = i * dim; d < (i + 1) * dim; d++) {
            dot += (double)a[d] * (double)b[d];
            aa += (double)a[d] * (double)a[d];
            bb += (double)b[d] * (double)b[d];
        }
        double cosine = dot / sqrt(aa * bb);
        cosine = cosine > -1 ? fmin(cosine, 1) : -1;
        *least = fmin(*least, cosine);
        *mean += cosine / (double)count;
    }
}

static int compare_embeds(const char *path, const struct embeds *a, const char *other,
                          const struct embeds *b, struct vkclip_comparison *comparison)
{
    const bool images = a->info.image.width && b->info.image.width;
    const bool words = a->info.text.width && b->info.text.width;
    if ((images && a->info.embed_dim != b->info.embed_dim) ||
        (words && a->info.text_embed_dim != b->info.text_embed_dim))
        return error_fail(VKCLIP_EINVALID, "%s and %s: embeddings of different widths", path,
                          other);
    if (images) {
        comparison->images = PICTURES;
        compare_rows(a->images, b->images, PICTURES, a->info.embed_dim, &comparison->image_min,
                     &comparison->image_mean);
    }
    if (words) {
        comparison->texts = TEXTS;
        compare_rows(a->texts, b->texts, TEXTS, a->info.text_embed_dim, &comparison->text_min,
                     &comparison->text_mean);
    }
    return VKCLIP_OK;
}

int compare_models(struct vkclip_device *device, const char *path,
                   const struct vkclip_model_params *params, const char *other,
                   const struct vkclip_model_params *other_params,
                   struct vkclip_comparison *comparison)
{
    struct embeds a = {0}, b = {0};
    *comparison = (struct vkclip_comparison){0};
    int error = encode_with(device, path, params, NULL, &a);
    if (!error)
        error = encode_with(device, other, other_params, &a, &b);
    if (!error)
        error = compare_embeds(path, &a, other, &b, comparison);
    free_embeds(&a);
    free_embeds(&b);
    return error;
}
