/* SPDX-License-Identifier: MIT
 *
 * The loader keeps a ring of batches: while one batch is in use, a pool of threads makes the
 * batches of the next steps, with one job per row.
 */
#include "data/loader.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "base/workers.h"
#include "data/sampler.h"
#include "image/decode.h"

#include <stdatomic.h>
#include <string.h>

enum {
    MOST_ATTEMPTS = 64, /* for one row; if 64 samples in turn are broken, probably all are */
    MOST_WARNINGS = 10, /* about broken samples; the others are counted */
    MOST_AHEAD = 64
};

/* This is a sample that could not be read, with the reason. */
struct broken {
    struct broken *later;
    size_t sample;
    char reason[];
};

/* A row has this information besides its values. */
struct row {
    struct broken *broken; /* the samples that it could not use, the last one first */
    uint32_t length;       /* ids up to the end of text */
    bool cut;              /* its caption was longer than the context */
};

/* A slot holds a batch that is being made or in use. */
struct slot {
    struct loader *loader;
    bool started; /* workers_wait must be called for its jobs */
    uint64_t step;
    struct workers_group group;
    float *pixels;
    int32_t *ids;
    size_t *chosen;    /* [B] what the sampler has chosen */
    uint64_t *samples; /* [B] what the rows have, which differs where samples were replaced */
    struct row *rows;
};

struct loader {
    struct loader_params params;
    const struct dataset *dataset;
    const struct tokenizer *tokenizer;
    struct sampler sampler;
    struct workers *workers;
    struct slot *slots;
    size_t slot_count;
    size_t width, height; /* of the pictures; only prepared ones may be oblong */
    uint64_t pass;
    atomic_uchar *
        is_broken; /* [samples] whether a sample could not be read, so that no row tries it again */
    unsigned char *is_counted; /* [samples] whether statistics.broken counts it */
    atomic_bool closing;
    struct loader_statistics statistics;
};

/* ---- A row, on any thread -------------------------------------------------------------------- */

/* Drops the decoder's error messages. A picture that cannot be decoded is only one sample of many,
 * so its message becomes a warning later. */
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
    int error = dataset_load(loader->dataset, sample, NULL, &image);
    if (!error)
        error =
            augment_image(&loader->params.augment, &loader->params.transform, &image, rng, pixels);
    log_redirect(outer);
    image_free(&image);
    return error;
}

static int remember_broken(struct loader *loader, struct row *row, size_t sample)
{
    const char *reason = error_last();
    struct broken *broken = memory_alloc(sizeof(*broken) + strlen(reason) + 1);
    if (!broken)
        return error_fail(VKCLIP_EMEMORY, "out of memory");
    *broken = (struct broken){.later = row->broken, .sample = sample};
    strcpy(broken->reason, reason);
    row->broken = broken;
    atomic_store(&loader->is_broken[sample], 1);
    return VKCLIP_OK;
}

/* Encodes a text to a row of ids, cut or padded to the context. */
static int encode_row(const struct loader *loader, const char *text, int32_t *ids, struct row *row)
{
    const size_t context = loader->params.context;
    size_t count = 0;
    int error = tokenizer_fill(loader->tokenizer, text, ids, context, &count);
    row->cut = count > context;
    row->length = (uint32_t)(row->cut ? context : count);
    return error;
}

/* Puts a random template around the caption, if there are templates, and encodes the text. */
static int make_ids(const struct loader *loader, const char *caption, struct rng *rng, int32_t *ids,
                    struct row *row)
{
    const struct loader_params *params = &loader->params;
    if (!params->template_count)
        return encode_row(loader, caption, ids, row);
    const char *template = params->templates[rng_below(rng, params->template_count)];
    char *text = string_fill(template, caption);
    if (!text)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a caption");
    int error = encode_row(loader, text, ids, row);
    memory_free(text);
    return error;
}

/* Makes a row from a sample: first the ids, then the picture, from one sequence of random numbers.
 * Returns EABSENT if the sample is broken and the row needs another one. */
static int fill_row(struct slot *slot, uint32_t row, size_t sample)
{
    struct loader *loader = slot->loader;
    const struct dataset *dataset = loader->dataset;
    const struct dataset_sample *info = &dataset->samples[sample];
    struct rng rng = sampler_rng(&loader->sampler, slot->step, row);
    const char *caption = dataset->captions[info->caption + rng_below(&rng, info->count)];
    int32_t *ids = slot->ids + (size_t)row * loader->params.context;
    float *pixels = slot->pixels + (size_t)row * 3 * loader->width * loader->height;
    int error = make_ids(loader, caption, &rng, ids, &slot->rows[row]);
    if (error)
        return error;
    slot->samples[row] = sample;
    error = load_picture(loader, sample, &rng, pixels);
    if (error && error != VKCLIP_EMEMORY) {
        int failed = remember_broken(loader, &slot->rows[row], sample);
        return failed ? failed : VKCLIP_EABSENT;
    }
    return error;
}

/* Makes a row from the first of its samples that can be read. This is the workers_job_fn for
 * pictures. */
static int make_row(void *user, size_t index, unsigned thread)
{
    struct slot *slot = user;
    struct loader *loader = slot->loader;
    const uint32_t row = (uint32_t)index;
    (void)thread;
    for (uint32_t attempt = 0; !atomic_load(&loader->closing); attempt++) {
        const size_t sample =
            attempt ? sampler_replace(&loader->sampler, slot->step, slot->chosen, row, attempt)
                    : slot->chosen[row];
        if (attempt == MOST_ATTEMPTS || sample == SAMPLER_NONE) {
            const struct broken *last = slot->rows[row].broken;
            return error_fail(VKCLIP_EFORMAT,
                              "%s: %u samples could not be read and no other is left to replace "
                              "them, the last: %s",
                              loader->dataset->path, attempt, last ? last->reason : "known before");
        }
        if (atomic_load(&loader->is_broken[sample]))
            continue;
        int error = fill_row(slot, row, sample);
        if (error != VKCLIP_EABSENT)
            return error;
    }
    return VKCLIP_OK;
}

/* Reads element `index` of a tensor of I64 or I32. */
static int read_id(const struct tensor_view *ids, uint64_t index, int64_t *id)
{
    int32_t narrow = 0;
    const bool wide = ids->dtype == DTYPE_I64;
    const size_t size = dtype_size(ids->dtype);
    int error = tensor_view_copy(ids, index * size, size, wide ? (void *)id : (void *)&narrow);
    if (!wide)
        *id = narrow;
    return error;
}

/* Copies a row of a prepared batch. This is the workers_job_fn for prepared batches. */
static int copy_row(void *user, size_t index, unsigned thread)
{
    struct slot *slot = user;
    const struct loader *loader = slot->loader;
    const struct tensor_view *images = loader->dataset->images, *ids = loader->dataset->ids;
    const uint64_t pixels = 3 * loader->width * loader->height, context = loader->params.context;
    const uint64_t row = slot->step % images->shape[0] * loader->params.batch + index;
    (void)thread;
    int error = tensor_view_read(images, row * pixels, pixels, slot->pixels + index * pixels);
    if (error)
        return error;
    slot->rows[index].length = (uint32_t)context;
    for (uint64_t i = 0; i < context; i++) {
        int64_t id;
        error = read_id(ids, row * context + i, &id);
        if (error)
            return error;
        if (id < 0 || id > INT32_MAX)
            return error_fail(VKCLIP_EFORMAT, "%s: input_ids has %lld, expected ids from 0 up",
                              loader->dataset->path, (long long)id);
        slot->ids[index * context + i] = (int32_t)id;
    }
    return VKCLIP_OK;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Takes the sizes of the file of prepared batches. Sizes that the caller has named must equal those
 * of the file.
 */
static int take_raw_sizes(struct loader *loader)
{
    struct loader_params *params = &loader->params;
    const struct dataset *dataset = loader->dataset;
    const uint64_t *images = dataset->images->shape, *ids = dataset->ids->shape;
    const struct {
        const char *what;
        uint64_t has, wanted;
    } sizes[] = {{"samples per batch", images[1], params->batch},
                 {"rows of pixels", images[3], params->transform.size},
                 {"columns of pixels", images[4], params->transform.size},
                 {"ids per text", ids[2], params->context}};
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

static int create_sample_flags(struct loader *loader)
{
    const size_t count = loader->dataset->count;
    loader->is_broken = memory_calloc(count, sizeof(*loader->is_broken));
    loader->is_counted = memory_calloc(count, 1);
    if (!loader->is_broken || !loader->is_counted)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu samples", count);
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
    if (!error)
        error = create_sample_flags(loader);
    loader->width = loader->height = params->transform.size;
    loader->pass = loader->sampler.batches;
    return error;
}

static int open_slots(struct loader *loader)
{
    const size_t batch = loader->params.batch, context = loader->params.context;
    const size_t pixels = 3 * loader->width * loader->height;
    loader->slots = memory_calloc(loader->slot_count, sizeof(*loader->slots));
    if (!loader->slots)
        return error_fail(VKCLIP_EMEMORY, "out of memory for batches");
    for (size_t i = 0; i < loader->slot_count; i++) {
        struct slot *slot = &loader->slots[i];
        slot->loader = loader;
        slot->pixels = memory_calloc(batch, pixels * sizeof(*slot->pixels));
        slot->ids = memory_calloc(batch, context * sizeof(*slot->ids));
        slot->chosen = memory_calloc(batch, sizeof(*slot->chosen));
        slot->samples = memory_calloc(batch, sizeof(*slot->samples));
        slot->rows = memory_calloc(batch, sizeof(*slot->rows));
        if (!slot->pixels || !slot->ids || !slot->chosen || !slot->samples || !slot->rows)
            return error_fail(VKCLIP_EMEMORY,
                              "out of memory for %zu batches of %zu pictures of %zu x %zu",
                              loader->slot_count, batch, loader->width, loader->height);
    }
    return VKCLIP_OK;
}

int loader_open(const struct loader_params *params, const struct dataset *dataset,
                const struct tokenizer *tokenizer, struct loader **result)
{
    struct loader *loader = *result = memory_calloc(1, sizeof(*loader));
    if (!loader)
        return error_fail(VKCLIP_EMEMORY, "out of memory for batches");
    loader->params = *params;
    loader->dataset = dataset;
    loader->tokenizer = tokenizer;
    loader->slot_count = 1 + (params->ahead ? params->ahead : 2);
    int error = VKCLIP_OK;
    if (params->ahead > MOST_AHEAD)
        error = error_fail(VKCLIP_EINVALID, "%u batches ahead, expected at most %d", params->ahead,
                           MOST_AHEAD);
    if (!error)
        error = dataset->images ? take_raw_sizes(loader) : open_samples(loader);
    if (!error)
        error = open_slots(loader);
    if (!error)
        error = workers_open(params->threads, &loader->workers);
    if (error)
        loader_close(result);
    return error;
}

/* ---- Batches --------------------------------------------------------------------------------- */

static void clear_broken(struct slot *slot)
{
    for (size_t i = 0; slot->rows && i < slot->loader->params.batch; i++)
        while (slot->rows[i].broken) {
            struct broken *later = slot->rows[i].broken->later;
            memory_free(slot->rows[i].broken);
            slot->rows[i].broken = later;
        }
}

/* Starts making the batch of a step, unless it is being made already. */
static void start_batch(struct slot *slot, uint64_t step)
{
    struct loader *loader = slot->loader;
    if (slot->started && slot->step == step)
        return;
    if (slot->started) /* The slot's batch is for another step and is not needed. */
        workers_wait(loader->workers, &slot->group);
    clear_broken(slot);
    slot->step = step;
    slot->started = true;
    if (!loader->dataset->images)
        sampler_choose(&loader->sampler, step, slot->chosen);
    slot->group = (struct workers_group){.job = loader->dataset->images ? copy_row : make_row,
                                         .user = slot,
                                         .count = loader->params.batch};
    workers_start(loader->workers, &slot->group);
}

/* Counts the broken samples of a row that were not counted before, and warns of the first
 * MOST_WARNINGS. */
static void count_broken(struct loader *loader, const struct row *row)
{
    for (const struct broken *broken = row->broken; broken; broken = broken->later) {
        if (loader->is_counted[broken->sample])
            continue;
        loader->is_counted[broken->sample] = 1;
        if (loader->statistics.broken++ < MOST_WARNINGS)
            log_message(
                VKCLIP_LOG_WARNING, "broken sample replaced by another: %s%s", broken->reason,
                loader->statistics.broken == MOST_WARNINGS ? " (more are only counted)" : "");
    }
}

int loader_next(struct loader *loader, uint64_t step, struct loader_batch *batch)
{
    const double before = clock_seconds();
    for (uint64_t i = 0; i < loader->slot_count; i++)
        start_batch(&loader->slots[(step + i) % loader->slot_count], step + i);
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
    slot->started = !error;
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
        if (slot->started)
            workers_wait(loader->workers, &slot->group);
        if (slot->loader)
            clear_broken(slot);
        memory_free(slot->pixels);
        memory_free(slot->ids);
        memory_free(slot->chosen);
        memory_free(slot->samples);
        memory_free(slot->rows);
    }
    workers_close(&loader->workers);
    sampler_close(&loader->sampler);
    memory_free(loader->slots);
    memory_free(loader->is_broken);
    memory_free(loader->is_counted);
    memory_free(loader);
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
