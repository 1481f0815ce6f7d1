/* SPDX-License-Identifier: MIT
 *
 * A ring of batches on a pool of threads: while one is in use, those of the next steps are made, a
 * job a row.
 */
#include "data/loader.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/string.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "data/sampler.h"
#include "base/workers.h"

enum {
    MOST_ATTEMPTS = 64, /* for one row: more than that are broken where everything is */
    MOST_LINES = 10,    /* of the log about broken samples */
    MOST_AHEAD = 64
};

/* A sample that was found to be broken. */
struct broken {
    struct broken *later;
    size_t sample;
    char reason[];
};

struct row {
    struct broken *broken;
    uint32_t length; /* ids up to the end of text */
    bool cut;
};

/* A batch that is being made, or in use. */
struct slot {
    struct loader *loader;
    bool begun;
    uint64_t step;
    struct workers_group group;
    float *pixels;
    int32_t *ids;
    uint64_t *samples;
    struct row *rows;
};

struct loader {
    struct loader_params params;
    const struct dataset *dataset;
    const struct tokenizer *tokenizer;
    struct sampler sampler;
    struct workers *workers;
    struct slot *slots;
    size_t slot_count, width, height; /* of preprocessed pictures they may differ */
    uint64_t pass;
    atomic_uchar *is_broken; /* [samples]: found to be, not to be tried again */
    unsigned char *is_counted;
    atomic_bool closing;
    struct loader_statistics statistics;
};

/* ---- A row, on any thread -------------------------------------------------------------------- */

/* Decoders report what is wrong as an error; here it is one sample of many. */
static void drop_errors(void *user, enum vkclip_log_level level, const char *text)
{
    const struct log_target *outer = user;
    if (level != VKCLIP_LOG_ERROR && outer->log)
        outer->log(outer->user, level, text);
}

static int load_picture(const struct loader *loader, size_t sample, struct rng *rng, float *pixels)
{
    struct vkclip_image image;
    struct log_target outer = log_redirect((struct log_target){0});
    log_redirect((struct log_target){drop_errors, &outer});
    int error = dataset_load(loader->dataset, sample, &image);
    if (!error)
        error =
            augment_image(&loader->params.augment, &loader->params.transform, &image, rng, pixels);
    log_redirect(outer);
    vkclip_free_image(&image);
    return error;
}

static int remember_broken(struct loader *loader, struct row *row, size_t sample)
{
    const char *reason = vkclip_last_error();
    struct broken *broken = malloc(sizeof(*broken) + strlen(reason) + 1);
    if (!broken)
        return error_fail(VKCLIP_EMEMORY, "out of memory");
    *broken = (struct broken){.later = row->broken, .sample = sample};
    strcpy(broken->reason, reason);
    row->broken = broken;
    atomic_store(&loader->is_broken[sample], 1);
    return VKCLIP_OK;
}

static int make_ids(struct loader *loader, const char *caption, struct rng *rng, int32_t *ids,
                    struct row *row)
{
    const struct loader_params *params = &loader->params;
    char *text = NULL;
    if (params->template_count) {
        const char *around = params->templates[rng_below(rng, params->template_count)];
        text = string_fill(around, caption);
        if (!text)
            return error_fail(VKCLIP_EMEMORY, "out of memory for a caption");
        caption = text;
    }
    size_t count = 0;
    const size_t context = params->context;
    int error = tokenizer_encode(loader->tokenizer, caption, strlen(caption), ids, context, &count);
    row->cut = count > context;
    if (!error && row->cut) {
        ids[context - 1] = tokenizer_end(loader->tokenizer);
        count = context;
    }
    row->length = (uint32_t)count;
    for (size_t i = count; !error && i < context; i++)
        ids[i] = tokenizer_pad(loader->tokenizer);
    free(text);
    return error;
}

static int make_row(void *user, size_t index, unsigned thread)
{
    (void)thread;
    struct slot *slot = user;
    struct loader *loader = slot->loader;
    const struct dataset *dataset = loader->dataset;
    const size_t pixels = 3 * loader->width * loader->height;
    const uint32_t number = (uint32_t)index;
    struct row *row = &slot->rows[index];
    for (uint32_t i = 0; !atomic_load(&loader->closing); i++) {
        size_t sample = sampler_pick(&loader->sampler, slot->step, number, i);
        if (i == MOST_ATTEMPTS || sample == SAMPLER_NONE)
            return error_fail(VKCLIP_EFORMAT,
                              "%s: %u samples could not be read and no other is left in their "
                              "place, the last: %s",
                              dataset->path, i, row->broken ? row->broken->reason : "known before");
        if (atomic_load(&loader->is_broken[sample]))
            continue;
        struct rng rng = sampler_rng(&loader->sampler, slot->step, number);
        const struct dataset_sample *is = &dataset->samples[sample];
        const char *caption = dataset->captions[is->caption + rng_below(&rng, is->count)];
        int error =
            make_ids(loader, caption, &rng, slot->ids + index * loader->params.context, row);
        if (error)
            return error;
        slot->samples[index] = sample;
        error = load_picture(loader, sample, &rng, slot->pixels + index * pixels);
        if (error && error != VKCLIP_EMEMORY)
            error = remember_broken(loader, row, sample);
        else
            return error;
        if (error)
            return error;
    }
    return VKCLIP_OK;
}

/* A row of a preprocessed batch. */
static int copy_row(void *user, size_t index, unsigned thread)
{
    (void)thread;
    struct slot *slot = user;
    const struct loader *loader = slot->loader;
    const struct tensor_view *images = loader->dataset->images, *ids = loader->dataset->ids;
    const uint64_t pixels = 3 * loader->width * loader->height, context = loader->params.context;
    const uint64_t row = slot->step % images->shape[0] * loader->params.batch + index;
    tensor_view_read(images, row * pixels, pixels, slot->pixels + index * pixels);
    slot->rows[index].length = (uint32_t)context;
    for (uint64_t i = 0; i < context; i++) {
        int64_t id;
        int32_t narrow;
        const uint8_t *at =
            (const uint8_t *)ids->data + (row * context + i) * dtype_size(ids->dtype);
        if (ids->dtype == DTYPE_I64) {
            memcpy(&id, at, sizeof(id));
        } else {
            memcpy(&narrow, at, sizeof(narrow));
            id = narrow;
        }
        if (id < 0 || id > INT32_MAX)
            return error_fail(VKCLIP_EFORMAT, "%s: input_ids has %lld, expected ids from 0 up",
                              loader->dataset->path, (long long)id);
        slot->ids[index * context + i] = (int32_t)id;
    }
    return VKCLIP_OK;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Sizes that the file of preprocessed batches has, and the caller may have named. */
static int take_raw_sizes(struct loader *loader)
{
    struct loader_params *params = &loader->params;
    const struct dataset *dataset = loader->dataset;
    const uint64_t *images = dataset->images->shape, *ids = dataset->ids->shape;
    const struct {
        const char *what;
        uint64_t has, wanted;
    } sizes[] = {{"samples a batch", images[1], params->batch},
                 {"rows of pixels", images[3], params->transform.size},
                 {"columns of pixels", images[4], params->transform.size},
                 {"ids a text", ids[2], params->context}};
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        if (sizes[i].wanted && sizes[i].has != sizes[i].wanted)
            return error_fail(VKCLIP_EINVALID, "%s: %llu %s, expected %llu", dataset->path,
                              (unsigned long long)sizes[i].has, sizes[i].what,
                              (unsigned long long)sizes[i].wanted);
    params->batch = (uint32_t)images[1];
    params->context = (uint32_t)ids[2];
    loader->height = (size_t)images[3];
    loader->width = (size_t)images[4];
    loader->pass = images[0];
    return VKCLIP_OK;
}

static int open_samples(struct loader *loader)
{
    const struct loader_params *params = &loader->params;
    if (!loader->tokenizer || params->context < 2 || !params->transform.size)
        return error_fail(VKCLIP_EINVALID, "a loader needs a vocabulary, a context of at least 2 "
                                           "tokens and the pictures' size");
    for (size_t i = 0; i < params->template_count; i++)
        if (!strstr(params->templates[i], "{}"))
            return error_fail(VKCLIP_EINVALID,
                              "template \"%s\": expected {} where the caption goes",
                              params->templates[i]);
    int error = augment_check(&params->augment);
    if (!error)
        error = sampler_open(loader->dataset, params->batch, params->seed, &loader->sampler);
    if (error)
        return error;
    loader->width = loader->height = params->transform.size;
    loader->pass = loader->sampler.batches;
    loader->is_broken = calloc(loader->dataset->count, sizeof(*loader->is_broken));
    loader->is_counted = calloc(loader->dataset->count, 1);
    return loader->is_broken && loader->is_counted
               ? VKCLIP_OK
               : error_fail(VKCLIP_EMEMORY, "out of memory for %zu samples",
                            loader->dataset->count);
}

static int open_slots(struct loader *loader)
{
    const size_t batch = loader->params.batch, context = loader->params.context;
    const size_t pixels = 3 * loader->width * loader->height;
    loader->slots = calloc(loader->slot_count, sizeof(*loader->slots));
    for (size_t i = 0; loader->slots && i < loader->slot_count; i++) {
        struct slot *slot = &loader->slots[i];
        slot->loader = loader;
        slot->pixels = calloc(batch, pixels * sizeof(*slot->pixels));
        slot->ids = calloc(batch, context * sizeof(*slot->ids));
        slot->samples = calloc(batch, sizeof(*slot->samples));
        slot->rows = calloc(batch, sizeof(*slot->rows));
        if (!slot->pixels || !slot->ids || !slot->samples || !slot->rows)
            return error_fail(VKCLIP_EMEMORY,
                              "out of memory for %zu batches of %zu pictures of %zu x %zu",
                              loader->slot_count, batch, loader->width, loader->height);
    }
    return loader->slots ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for batches");
}

int loader_open(const struct loader_params *params, const struct dataset *dataset,
                const struct tokenizer *tokenizer, struct loader **result)
{
    struct loader *loader = *result = calloc(1, sizeof(*loader));
    if (!loader)
        return error_fail(VKCLIP_EMEMORY, "out of memory for batches");
    loader->params = *params;
    loader->dataset = dataset;
    loader->tokenizer = tokenizer;
    loader->slot_count = 1 + (params->ahead ? params->ahead : 2);
    int error = params->ahead > MOST_AHEAD
                    ? error_fail(VKCLIP_EINVALID, "%u batches ahead, expected at most %d",
                                 params->ahead, MOST_AHEAD)
                : dataset->images ? take_raw_sizes(loader)
                                  : open_samples(loader);
    error = error ? error : open_slots(loader);
    error = error ? error : workers_open(params->threads, &loader->workers);
    if (error)
        loader_close(result);
    return error;
}

/* ---- Batches --------------------------------------------------------------------------------- */

static void forget_broken(struct slot *slot)
{
    for (size_t i = 0; slot->rows && i < slot->loader->params.batch; i++)
        while (slot->rows[i].broken) {
            struct broken *later = slot->rows[i].broken->later;
            free(slot->rows[i].broken);
            slot->rows[i].broken = later;
        }
}

static void begin(struct slot *slot, uint64_t step)
{
    struct loader *loader = slot->loader;
    if (slot->begun && slot->step == step)
        return;
    if (slot->begun) /* asked for out of turn: its result does not matter */
        workers_wait(loader->workers, &slot->group);
    forget_broken(slot);
    slot->step = step;
    slot->begun = true;
    slot->group = (struct workers_group){.job = loader->dataset->images ? copy_row : make_row,
                                         .user = slot,
                                         .count = loader->params.batch};
    workers_start(loader->workers, &slot->group);
}

static void count_broken(struct loader *loader, const struct row *row)
{
    for (const struct broken *broken = row->broken; broken; broken = broken->later) {
        if (loader->is_counted[broken->sample])
            continue;
        loader->is_counted[broken->sample] = 1;
        if (loader->statistics.broken++ < MOST_LINES)
            log_message(VKCLIP_LOG_WARNING, "broken sample replaced by another: %s%s",
                        broken->reason,
                        loader->statistics.broken == MOST_LINES ? " (more are only counted)" : "");
    }
}

int loader_next(struct loader *loader, uint64_t step, struct loader_batch *batch)
{
    const double before = clock_seconds();
    for (uint64_t i = 0; i < loader->slot_count; i++)
        begin(&loader->slots[(step + i) % loader->slot_count], step + i);
    struct slot *slot = &loader->slots[step % loader->slot_count];
    int error = workers_wait(loader->workers, &slot->group);
    *batch = (struct loader_batch){.pixels = slot->pixels, .ids = slot->ids};
    batch->samples = loader->dataset->images ? NULL : slot->samples;
    for (size_t i = 0; i < loader->params.batch; i++) {
        const struct row *row = &slot->rows[i];
        count_broken(loader, row);
        loader->statistics.cut += row->cut;
        batch->longest = row->length > batch->longest ? row->length : batch->longest;
    }
    slot->begun = !error;
    loader->statistics.waited += clock_seconds() - before;
    return error;
}

void loader_close(struct loader **handle)
{
    struct loader *loader = *handle;
    if (!loader)
        return;
    atomic_store(&loader->closing, true);
    for (size_t i = 0; loader->slots && i < loader->slot_count; i++) {
        struct slot *slot = &loader->slots[i];
        if (slot->begun)
            workers_wait(loader->workers, &slot->group);
        if (slot->loader)
            forget_broken(slot);
        free(slot->pixels);
        free(slot->ids);
        free(slot->samples);
        free(slot->rows);
    }
    workers_close(&loader->workers);
    sampler_close(&loader->sampler);
    free(loader->slots);
    free(loader->is_broken);
    free(loader->is_counted);
    free(loader);
    *handle = NULL;
}

uint32_t loader_batch_size(const struct loader *loader)
{
    return loader->params.batch;
}

uint32_t loader_context(const struct loader *loader)
{
    return loader->params.context;
}

uint64_t loader_pass(const struct loader *loader)
{
    return loader->pass;
}

struct loader_statistics loader_statistics(const struct loader *loader)
{
    return loader->statistics;
}
