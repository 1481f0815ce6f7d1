/* SPDX-License-Identifier: MIT
 *
 * Requests stand in a queue. A batch takes items of the first request in it, and then of others for
 * the same tower; a request of which items are left goes to the end, so that a long one does not
 * hold up the others. While the device computes, the queue grows, so that batches grow with the
 * load, and only a device that is idle waits for more items.
 */
#include "server/batcher.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "server/request.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* A request in the queue. It lies on the stack of the thread that waits for it. */
struct waiting {
    const struct batch_job *job;
    size_t next;    /* item to be computed next */
    size_t running; /* items in the batch that the device computes */
    size_t done;
    double since;
    bool abandoned; /* the request's time is over: nothing new of it begins */
    int error;
    char message[ERROR_MESSAGE];
    struct waiting *later;
};

struct batcher {
    struct thread thread;
    struct mutex lock; /* protects all that follows */
    struct condition queued, ended;
    struct waiting *first;
    struct batcher_counts counts;
    uint32_t batch_size;
    double wait_seconds;
    bool closing;
    /* Of the batch that is computed; only its thread uses them. */
    struct entry {
        struct waiting *waiting;
        size_t item;
    } * entries;
    size_t entry_count;
};

/* ---- The queue ----------------------------------------------------------------------------------- */

static void append(struct batcher *batcher, struct waiting *waiting)
{
    struct waiting **link = &batcher->first;
    while (*link)
        link = &(*link)->later;
    waiting->later = NULL;
    *link = waiting;
}

static void remove_waiting(struct batcher *batcher, const struct waiting *waiting)
{
    for (struct waiting **link = &batcher->first; *link; link = &(*link)->later)
        if (*link == waiting) {
            *link = waiting->later;
            return;
        }
}

static bool is_alike(const struct batch_job *a, const struct batch_job *b)
{
    return a->model == b->model && a->tower == b->tower && a->token_count == b->token_count &&
           a->raw == b->raw;
}

/* How many items the next batch would have. */
static size_t count_alike(const struct batcher *batcher)
{
    size_t count = 0;
    for (const struct waiting *waiting = batcher->first; waiting; waiting = waiting->later)
        if (is_alike(waiting->job, batcher->first->job))
            count += waiting->job->count - waiting->next;
    return count;
}

/* Waits until a batch is full or its first item has waited long enough. False: the batcher closes.
 */
static bool wait_for_batch(struct batcher *batcher)
{
    for (;;) {
        if (batcher->closing)
            return false;
        if (!batcher->first) {
            condition_wait(&batcher->queued, &batcher->lock);
            continue;
        }
        const double left = batcher->first->since + batcher->wait_seconds - clock_seconds();
        if (left <= 0 || count_alike(batcher) >= batcher->batch_size)
            return true;
        condition_wait_for(&batcher->queued, &batcher->lock, left);
    }
}

static void take_batch(struct batcher *batcher)
{
    const struct batch_job *job = batcher->first->job;
    struct waiting *rest = NULL, *waiting = batcher->first, *later;
    batcher->entry_count = 0;
    for (; waiting && batcher->entry_count < batcher->batch_size; waiting = later) {
        later = waiting->later;
        if (!is_alike(waiting->job, job))
            continue;
        while (waiting->next < waiting->job->count && batcher->entry_count < batcher->batch_size) {
            batcher->entries[batcher->entry_count++] = (struct entry){waiting, waiting->next++};
            waiting->running++;
            batcher->counts.waiting--;
        }
        remove_waiting(batcher, waiting);
        if (waiting->next < waiting->job->count)
            rest = waiting; /* Only the last one that was taken can have items left. */
    }
    if (rest)
        append(batcher, rest);
}

/* ---- A batch ------------------------------------------------------------------------------------- */

/* Is a vkclip_item_fn. */
static int take_item(void *user, const struct vkclip_item *item)
{
    struct batcher *batcher = user;
    const struct entry *entry = &batcher->entries[item->index];
    struct waiting *waiting = entry->waiting;
    if (!item->error)
        memcpy(waiting->job->embeds + entry->item * waiting->job->dim, item->embed,
               waiting->job->dim * sizeof(float));
    else if (!waiting->error) {
        waiting->error = item->error;
        snprintf(waiting->message, sizeof(waiting->message), "%s", item->message);
    }
    return 0;
}

/* Is a vkclip_source_fn. */
static int copy_pixels(void *user, size_t index, float *pixel_values)
{
    const struct batcher *batcher = user;
    const struct entry *entry = &batcher->entries[index];
    const struct batch_job *job = entry->waiting->job;
    memcpy(pixel_values, job->pixel_values + entry->item * job->pixels,
           job->pixels * sizeof(float));
    return 0;
}

static int run_texts(struct batcher *batcher, const struct vkclip_encode_params *params)
{
    const char **texts = calloc(batcher->entry_count, sizeof(*texts));
    if (!texts)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a batch of texts");
    for (size_t i = 0; i < batcher->entry_count; i++)
        texts[i] = batcher->entries[i].waiting->job->texts[batcher->entries[i].item];
    struct vkclip_model *model = batcher->entries[0].waiting->job->model;
    const int error = vkclip_encode_texts(model, texts, batcher->entry_count, params, NULL);
    free(texts);
    return error;
}

static int run_tokens(struct batcher *batcher, const struct vkclip_encode_params *params)
{
    const struct batch_job *first = batcher->entries[0].waiting->job;
    const size_t length = first->token_count;
    int32_t *ids = calloc(batcher->entry_count, length * sizeof(*ids));
    if (!ids)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a batch of tokens");
    for (size_t i = 0; i < batcher->entry_count; i++)
        memcpy(ids + i * length, batcher->entries[i].waiting->job->tokens[batcher->entries[i].item],
               length * sizeof(*ids));
    const int error =
        vkclip_encode_tokens(first->model, ids, batcher->entry_count, length, params, NULL);
    free(ids);
    return error;
}

static int run_batch(struct batcher *batcher)
{
    const struct batch_job *job = batcher->entries[0].waiting->job;
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .no_normalize = job->raw, .item = take_item, .user = batcher};
    if (job->tower == VKCLIP_TOWER_IMAGE)
        return vkclip_encode_source(job->model, copy_pixels, batcher->entry_count, &params, NULL);
    return job->token_count ? run_tokens(batcher, &params) : run_texts(batcher, &params);
}

static void end_batch(struct batcher *batcher, int error, double seconds)
{
    const enum vkclip_tower tower = batcher->entries[0].waiting->job->tower;
    batcher->counts.batches[tower]++;
    batcher->counts.items[tower] += batcher->entry_count;
    batcher->counts.seconds[tower] += seconds;
    for (size_t i = 0; i < batcher->entry_count; i++) {
        struct waiting *waiting = batcher->entries[i].waiting;
        waiting->running--;
        waiting->done++;
        if (error && !waiting->error) {
            waiting->error = error;
            snprintf(waiting->message, sizeof(waiting->message), "%s", vkclip_last_error());
        }
    }
    condition_tell(&batcher->ended);
}

static void run_batches(void *user)
{
    struct batcher *batcher = user;
    mutex_lock(&batcher->lock);
    while (wait_for_batch(batcher)) {
        take_batch(batcher);
        mutex_unlock(&batcher->lock);
        const double began = clock_seconds();
        const int error = run_batch(batcher);
        mutex_lock(&batcher->lock);
        end_batch(batcher, error, clock_seconds() - began);
    }
    mutex_unlock(&batcher->lock);
}

/* ---- Requests ------------------------------------------------------------------------------------ */

static bool is_ended(const struct waiting *waiting)
{
    if (waiting->error || waiting->abandoned)
        return !waiting->running;
    return waiting->done == waiting->job->count;
}

int batcher_run(struct batcher *batcher, struct request *request, const struct batch_job *job)
{
    struct waiting waiting = {.job = job, .since = clock_seconds()};
    if (!job->count)
        return VKCLIP_OK;
    mutex_lock(&batcher->lock);
    append(batcher, &waiting);
    batcher->counts.waiting += job->count;
    condition_tell(&batcher->queued);
    while (!is_ended(&waiting)) {
        condition_wait_for(&batcher->ended, &batcher->lock, CLOCK_MOMENT);
        waiting.abandoned |= request_is_over(request, 0, 0);
    }
    remove_waiting(batcher, &waiting);
    batcher->counts.waiting -= job->count - waiting.next;
    mutex_unlock(&batcher->lock);
    if (waiting.error) {
        error_keep(waiting.message);
        return waiting.error;
    }
    if (waiting.done < job->count)
        return error_fail(VKCLIP_ECANCELLED,
                          "the server is busy: the time for the request is over");
    return VKCLIP_OK;
}

int batcher_open(uint32_t batch_size, double wait_seconds, struct batcher **result)
{
    struct batcher *batcher = *result = calloc(1, sizeof(*batcher));
    if (batcher)
        batcher->entries = calloc(batch_size, sizeof(*batcher->entries));
    if (!batcher || !batcher->entries) {
        free(batcher);
        *result = NULL;
        return error_fail(VKCLIP_EMEMORY, "out of memory for batches of %u items", batch_size);
    }
    batcher->batch_size = batch_size;
    batcher->wait_seconds = wait_seconds;
    mutex_init(&batcher->lock);
    condition_init(&batcher->queued);
    condition_init(&batcher->ended);
    if (!thread_start(&batcher->thread, run_batches, batcher)) {
        batcher->closing = true;
        batcher_close(result);
        return error_fail(VKCLIP_EMEMORY, "the thread that encodes cannot be started");
    }
    return VKCLIP_OK;
}

void batcher_close(struct batcher **handle)
{
    struct batcher *batcher = *handle;
    if (!batcher)
        return;
    if (!batcher->closing) {
        mutex_lock(&batcher->lock);
        batcher->closing = true;
        condition_tell(&batcher->queued);
        mutex_unlock(&batcher->lock);
        thread_join(&batcher->thread);
    }
    condition_destroy(&batcher->ended);
    condition_destroy(&batcher->queued);
    mutex_destroy(&batcher->lock);
    free(batcher->entries);
    free(batcher);
    *handle = NULL;
}

void batcher_get_counts(struct batcher *batcher, struct batcher_counts *counts)
{
    mutex_lock(&batcher->lock);
    *counts = batcher->counts;
    mutex_unlock(&batcher->lock);
}
