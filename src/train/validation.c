/* SPDX-License-Identifier: MIT
 *
 * Encodes every picture and every caption once, micro-batch by micro-batch, and computes the loss
 * and the ranks on the host.
 */
#include "train/validation.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/recall.h"
#include "base/turns.h"
#include "base/workers.h"
#include "checkpoint/inputs.h"
#include "data/augment.h"

#include <math.h>
#include <string.h>

/* Embeddings of a tower's items, and which of them could be computed. */
struct embeds {
    float *rows; /* [count,D] */
    bool *there; /* [count] */
    size_t count;
};

struct validation {
    const struct validation_params *params;
    struct session *session;
    struct image_transform transform;
    struct workers *workers;
    struct embeds pictures, texts;
    size_t *first; /* Picture i has the captions from first[i] up to first[i + 1]. */
    size_t dim, micro_batch;
    float *pixels; /* [micro-batch,3,S,S] */
    int32_t *ids;  /* [micro-batch,T] */
    size_t chunk;  /* first item of the micro-batch */
};

/* ---- Inputs ---------------------------------------------------------------------------------- */

static size_t picture_floats(const struct validation *v)
{
    return (size_t)3 * v->transform.size * v->transform.size;
}

/* Prepares a picture of the micro-batch. Is a workers_job_fn. */
static int load_picture(void *user, size_t index, unsigned thread)
{
    struct validation *v = user;
    const struct vkclip_augmentation off = {.off = true};
    const size_t sample = v->chunk + index;
    struct vkclip_image image;
    (void)thread;
    int error = dataset_load(v->params->dataset, sample, NULL, &image);
    if (!error)
        error =
            augment_image(&off, &v->transform, &image, NULL, v->pixels + index * picture_floats(v));
    image_free(&image);
    v->pictures.there[sample] = !error;
    if (!error || error == VKCLIP_EMEMORY)
        return error;
    log_message(VKCLIP_LOG_WARNING, "left out of the validation: %s", error_last());
    return VKCLIP_OK;
}

/* Encodes a caption of the micro-batch. Is a workers_job_fn. */
static int load_text(void *user, size_t index, unsigned thread)
{
    struct validation *v = user;
    const size_t context = v->params->config->context;
    const size_t caption = v->chunk + index;
    size_t count;
    (void)thread;
    v->texts.there[caption] = true;
    return tokenizer_fill(v->params->tokenizer, v->params->dataset->captions[caption],
                          v->ids + index * context, context, &count);
}

/* ---- Embeddings ------------------------------------------------------------------------------ */

/* Computes the embeddings of a tower's items, one micro-batch after the other. The last one has
 * remains of the one before at its end, whose embeddings are dropped. */
static int encode(struct validation *v, enum tower tower, workers_job_fn *load,
                  struct embeds *embeds)
{
    float *rows = memory_alloc(v->micro_batch * v->dim * sizeof(*rows));
    int error = rows ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for a validation");
    for (v->chunk = 0; v->chunk < embeds->count && !error; v->chunk += v->micro_batch) {
        const size_t left = embeds->count - v->chunk;
        const size_t items = left < v->micro_batch ? left : v->micro_batch;
        error = turn_pause();
        if (!error)
            error = workers_run(v->workers, load, v, items);
        if (!error)
            error = session_encode(v->session, tower, v->pixels, v->ids, rows);
        if (!error)
            memcpy(embeds->rows + v->chunk * v->dim, rows, items * v->dim * sizeof(*rows));
    }
    memory_free(rows);
    return error;
}

/* ---- The loss -------------------------------------------------------------------------------- */

/* The pairs of a batch: pictures with their first captions. */
struct batch {
    const float **pictures, **texts; /* [count] rows of embeddings */
    double *logits;                  /* [count,count] */
    size_t count;
};

/* Returns the logarithm of the sum of the exponentials of values that lie `stride` apart. */
static double log_sum(const double *values, size_t count, size_t stride)
{
    double most = values[0], sum = 0;
    for (size_t i = 1; i < count; i++)
        most = fmax(most, values[i * stride]);
    for (size_t i = 0; i < count; i++)
        sum += exp(values[i * stride] - most);
    return most + log(sum);
}

/* Returns the sum over the pictures of the mean of the cross-entropies of both directions. */
static double softmax_loss(const struct batch *batch)
{
    const size_t n = batch->count;
    double loss = 0;
    for (size_t i = 0; i < n; i++)
        loss += (log_sum(batch->logits + i * n, n, 1) + log_sum(batch->logits + i, n, n)) / 2 -
                batch->logits[i * n + i];
    return loss;
}

/* Returns the sum over all pairs of -log sigmoid(logit), with the other sign for wrong pairs. */
static double sigmoid_loss(const struct batch *batch)
{
    const size_t n = batch->count;
    double loss = 0;
    for (size_t i = 0; i < n * n; i++) {
        const double x = i / n == i % n ? -batch->logits[i] : batch->logits[i];
        loss += fmax(x, 0) + log1p(exp(-fabs(x)));
    }
    return loss;
}

static double batch_loss(const struct validation *v, const struct batch *batch,
                         const struct session_logits *logits)
{
    const size_t n = batch->count;
    for (size_t i = 0; i < n * n; i++)
        batch->logits[i] =
            logits->scale * recall_compare(batch->pictures[i / n], batch->texts[i % n], v->dim) +
            logits->bias;
    return logits->sigmoid ? sigmoid_loss(batch) : softmax_loss(batch);
}

/* Adds picture number `i` and its first caption to the batch, if the picture is there. */
static void add_pair(const struct validation *v, size_t i, struct batch *batch)
{
    if (!v->pictures.there[i] || v->first[i] == v->first[i + 1])
        return;
    batch->pictures[batch->count] = v->pictures.rows + i * v->dim;
    batch->texts[batch->count++] = v->texts.rows + v->first[i] * v->dim;
}

/* Computes the mean of the losses of all pairs, in batches as OpenCLIP does. */
static int compute_loss(const struct validation *v, const struct session_logits *logits,
                        double *loss)
{
    const size_t most = v->params->batch;
    struct batch batch = {.pictures = memory_alloc(most * sizeof(*batch.pictures)),
                          .texts = memory_alloc(most * sizeof(*batch.texts)),
                          .logits = memory_alloc(most * most * sizeof(*batch.logits))};
    size_t pairs = 0;
    int error = VKCLIP_OK;
    *loss = 0;
    if (!batch.pictures || !batch.texts || !batch.logits)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for the loss of a validation");
    for (size_t i = 0; i < v->pictures.count && !error; i++) {
        add_pair(v, i, &batch);
        if (batch.count < most && i + 1 < v->pictures.count)
            continue;
        *loss += batch_loss(v, &batch, logits);
        pairs += batch.count;
        batch.count = 0;
    }
    *loss /= pairs ? (double)pairs : 1;
    memory_free(batch.pictures);
    memory_free(batch.texts);
    memory_free(batch.logits);
    return error;
}

/* ---- The measurement ------------------------------------------------------------------------- */

static bool make_embeds(struct embeds *embeds, size_t count, size_t dim)
{
    embeds->count = count;
    embeds->rows = memory_calloc(count + 1, dim * sizeof(*embeds->rows));
    embeds->there = memory_calloc(count + 1, sizeof(*embeds->there));
    return embeds->rows && embeds->there;
}

static int open_validation(struct validation *v)
{
    const struct dataset *dataset = v->params->dataset;
    const struct config *config = v->params->config;
    v->transform = checkpoint_image_transform(config);
    v->dim = config->image_embed_dim;
    v->micro_batch = session_micro_batch(v->session);
    v->first = memory_calloc(dataset->count + 1, sizeof(*v->first));
    v->pixels = memory_calloc(v->micro_batch, picture_floats(v) * sizeof(*v->pixels));
    v->ids = memory_calloc(v->micro_batch, config->context * sizeof(*v->ids));
    if (!v->first || !v->pixels || !v->ids || !make_embeds(&v->pictures, dataset->count, v->dim) ||
        !make_embeds(&v->texts, dataset->caption_count, v->dim))
        return error_fail(VKCLIP_EMEMORY, "out of memory for a validation with %zu pictures",
                          dataset->count);
    for (size_t i = 0; i < dataset->count; i++) /* Captions lie in the order of the samples. */
        v->first[i + 1] = dataset->samples[i].caption + dataset->samples[i].count;
    return workers_open(v->params->workers, &v->workers);
}

static void close_validation(struct validation *v)
{
    workers_close(&v->workers);
    memory_free(v->pictures.rows);
    memory_free(v->pictures.there);
    memory_free(v->texts.rows);
    memory_free(v->texts.there);
    memory_free(v->first);
    memory_free(v->pixels);
    memory_free(v->ids);
}

static int measure(struct validation *v, struct vkclip_validation *result)
{
    const struct recall_input input = {
        .owners = {v->pictures.rows, v->pictures.there, v->pictures.count},
        .owned = {v->texts.rows, v->texts.there, v->texts.count},
        .first = v->first,
        .dim = v->dim};
    struct session_logits logits;
    struct recall to_text, to_image;
    int error = session_read_logits(v->session, &logits);
    if (!error)
        error = compute_loss(v, &logits, &result->loss);
    if (!error)
        error = recall_rank(&input, v->workers, &to_text, &to_image);
    if (error)
        return error;
    if (!to_text.queries)
        return error_fail(VKCLIP_EFORMAT, "%s: none of its pictures could be read",
                          v->params->dataset->path);
    result->images = to_text.queries;
    result->captions = to_image.queries;
    for (size_t i = 0; i < RECALL_PLACES; i++) {
        result->image_to_text[i] = recall_percent(&to_text, i);
        result->text_to_image[i] = recall_percent(&to_image, i);
    }
    return VKCLIP_OK;
}

int validation_run(const struct validation_params *params, struct session *session,
                   struct vkclip_validation *result)
{
    struct validation v = {.params = params, .session = session};
    const double before = clock_seconds();
    *result = (struct vkclip_validation){.loss = 0};
    int error = open_validation(&v);
    if (!error)
        error = session_swap_averages(session);
    if (!error) {
        error = encode(&v, TOWER_IMAGE, load_picture, &v.pictures);
        if (!error)
            error = encode(&v, TOWER_TEXT, load_text, &v.texts);
        if (!error)
            error = measure(&v, result);
        const int swapped = session_swap_averages(session);
        error = error ? error : swapped;
    }
    close_validation(&v);
    result->seconds = clock_seconds() - before;
    return error;
}
