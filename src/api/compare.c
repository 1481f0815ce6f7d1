/* SPDX-License-Identifier: MIT
 *
 * How far a conversion turns embeddings: fixed pictures and texts through both models, by the
 * public functions that everybody encodes with. Says what is lost on these inputs, not on others.
 */
#include "base/array.h"
#include "base/error.h"

#include <math.h>
#include <stdlib.h>
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

/* The embeddings of the fixed inputs by one model. */
struct embeds {
    struct vkclip_model_info info;
    float *images, *texts;
    int32_t *ids; /* [TEXTS,context] */
};

/* A colour channel of picture `item`: a pattern of its own in whole numbers, the same everywhere.
 */
static uint8_t sample(int item, int x, int y, int channel)
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
    uint8_t *pixels = malloc(PICTURES * bytes);
    for (size_t i = 0; pixels && i < PICTURES * bytes; i++) {
        const size_t at = i % bytes / CHANNELS;
        pixels[i] =
            sample((int)(i / bytes), (int)(at % WIDTH), (int)(at / WIDTH), (int)(i % CHANNELS));
    }
    for (size_t i = 0; pixels && i < PICTURES; i++)
        images[i] = (struct vkclip_image){
            .pixels = pixels + i * bytes, .width = WIDTH, .height = HEIGHT, .channels = CHANNELS};
    return pixels;
}

/* Token ids of the texts by the model's vocabulary; without one those of `before`, or ids from all
 * over the table, the two last being start and end of text. */
static int make_ids(const struct vkclip_model *model, const struct embeds *before,
                    struct embeds *embeds)
{
    const uint32_t context = embeds->info.context, entries = embeds->info.vocabulary;
    for (size_t t = 0; t < TEXTS; t++) {
        int32_t *ids = &embeds->ids[t * context];
        size_t count;
        int error = VKCLIP_OK;
        if (embeds->info.tokenizer)
            error = vkclip_tokenize(model, texts[t], strlen(texts[t]), VKCLIP_TOKENIZE_PAD, ids,
                                    context, &count);
        else if (before && before->info.context == context)
            memcpy(ids, &before->ids[t * context], context * sizeof(*ids));
        else
            for (uint32_t i = 0; i < context; i++) {
                const bool inside = i > 0 && i < SHORTEST + t && i + 1 < context;
                const uint32_t id = (uint32_t)((t * 7919 + i) * 2654435761u) % entries;
                ids[i] = (int32_t)(inside ? id * (id < entries - 2) : entries - 1 - !i);
            }
        if (error)
            return error;
    }
    return VKCLIP_OK;
}

static int encode(struct vkclip_model *model, const struct embeds *before, struct embeds *embeds)
{
    const struct vkclip_model_info *info = &embeds->info;
    struct vkclip_image images[PICTURES];
    uint8_t *pixels = make_pictures(images);
    embeds->images = malloc((PICTURES * (size_t)info->embed_dim + 1) * sizeof(float));
    embeds->texts = malloc((TEXTS * (size_t)info->text_embed_dim + 1) * sizeof(float));
    embeds->ids = malloc((TEXTS * (size_t)info->context + 1) * sizeof(int32_t));
    int error = pixels && embeds->images && embeds->texts && embeds->ids
                    ? VKCLIP_OK
                    : error_fail(VKCLIP_EMEMORY, "out of memory for comparing models");
    if (!error && info->image.width)
        error = vkclip_encode_images(model, images, PICTURES, NULL, embeds->images);
    if (!error && info->text.width)
        error = make_ids(model, before, embeds);
    if (!error && info->text.width)
        error = vkclip_encode_tokens(model, embeds->ids, TEXTS, info->context, NULL, embeds->texts);
    free(pixels);
    return error;
}

static int run(struct vkclip_device *device, const char *path,
               const struct vkclip_model_params *params, const struct embeds *before,
               struct embeds *embeds)
{
    struct vkclip_model *model = NULL;
    int error = vkclip_open_model(device, path, params, &model);
    error = error ? error : vkclip_get_model_info(model, &embeds->info);
    error = error ? error : encode(model, before, embeds);
    vkclip_close_model(&model);
    return error;
}

/* Of rows of length one; what is no number is as far off as can be. */
static void compare(const float *a, const float *b, size_t count, size_t dim, double *least,
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

int vkclip_compare_models(struct vkclip_device *device, const char *path,
                          const struct vkclip_model_params *params, const char *other,
                          const struct vkclip_model_params *other_params,
                          struct vkclip_comparison *comparison)
{
    struct embeds a = {0}, b = {0};
    if (!path || !other || !comparison)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_compare_models: two paths and a result expected");
    *comparison = (struct vkclip_comparison){0};
    int error = run(device, path, params, NULL, &a);
    error = error ? error : run(device, other, other_params, &a, &b);
    const bool images = a.info.image.width && b.info.image.width,
               words = a.info.text.width && b.info.text.width;
    if (!error && ((images && a.info.embed_dim != b.info.embed_dim) ||
                   (words && a.info.text_embed_dim != b.info.text_embed_dim)))
        error =
            error_fail(VKCLIP_EINVALID, "%s and %s: embeddings of different widths", path, other);
    if (!error && images) {
        comparison->images = PICTURES;
        compare(a.images, b.images, PICTURES, a.info.embed_dim, &comparison->image_min,
                &comparison->image_mean);
    }
    if (!error && words) {
        comparison->texts = TEXTS;
        compare(a.texts, b.texts, TEXTS, a.info.text_embed_dim, &comparison->text_min,
                &comparison->text_mean);
    }
    free(a.images), free(a.texts), free(a.ids);
    free(b.images), free(b.texts), free(b.ids);
    return error;
}
