/* SPDX-License-Identifier: MIT
 *
 * Jobs stand in a queue. A batch takes one item of the first job in it, then one of each other
 * client's first job for the same tower, and begins again while it has room: each job goes to the
 * end after its turn, so that a single text waits for two or three batches, however many jobs
 * others have, and however long they are. While the device computes, the queue grows, so that
 * batches grow with the load, and only a device that is idle waits for more items.
 */
#include "server/batcher.h"
#include "base/clock.h"
#include "base/log.h"
#include "server/pool.h"
#include "server/request.h"

#include <stdlib.h>
#include <string.h>

struct batcher {
    struct thread thread;
    struct pool *pool;
    struct mutex lock; /* protects all that follows */
    struct condition queued;
    struct batch_job *first;
    size_t job_count; /* jobs that were started and not ended */
    struct batcher_counts counts;
    uint32_t batch_size;
    double wait_seconds;
    bool closing;
    bool prefers_new; /* The last batch began with a job of which the least was taken. */
    /* Of the batch that is computed; only its thread uses them. */
    struct entry {
        struct batch_job *job;
        size_t item;
    } * entries;
    size_t entry_count;
};

/* ---- The queue ----------------------------------------------------------------------------------- */

static void append(struct batcher *batcher, struct batch_job *job)
{
    struct batch_job **link = &batcher->first;
    while (*link)
        link = &(*link)->later;
    job->later = NULL;
    *link = job;
}

static void remove_job(struct batcher *batcher, const struct batch_job *job)
{
    for (struct batch_job **link = &batcher->first; *link; link = &(*link)->later)
        if (*link == job) {
            *link = job->later;
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
    for (const struct batch_job *job = batcher->first; job; job = job->later)
        if (is_alike(job, batcher->first))
            count += job->count - job->next;
    return count;
}

/* Tells whether to wait for more items: a request alone would only lose time. */
static bool may_grow(const struct batcher *batcher)
{
    return count_alike(batcher) < batcher->batch_size &&
           pool_count(batcher->pool) > batcher->job_count;
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
        if (left <= 0 || !may_grow(batcher))
            return true;
        condition_wait_for(&batcher->queued, &batcher->lock, left);
    }
}

static bool is_of_one_client(const struct batch_job *a, const struct batch_job *b)
{
    return a == b || (a->client && a->client == b->client);
}

/* Counts the jobs of a job's client that wait. */
static size_t count_jobs(const struct batcher *batcher, const struct batch_job *job)
{
    size_t count = 0;
    for (const struct batch_job *other = batcher->first; other; other = other->later)
        count += is_of_one_client(job, other);
    return count;
}

/* Tells whether a batch shall begin with the job rather than with the other one. */
static bool comes_before(const struct batcher *batcher, const struct batch_job *job,
                         const struct batch_job *other)
{
    const size_t count = count_jobs(batcher, job), others = count_jobs(batcher, other);
    return count < others || (count == others && job->next < other->next);
}

/* Every second batch begins with a job of the client who has the fewest, and among them with one of
 * which the least was taken, so that a new job does not wait for a batch of each model, tower and
 * length of tokens that others use. */
static void choose_first(struct batcher *batcher)
{
    struct batch_job *least = batcher->first;
    batcher->prefers_new = !batcher->prefers_new;
    if (!batcher->prefers_new)
        return;
    for (struct batch_job *job = least->later; job; job = job->later)
        if (comes_before(batcher, job, least))
            least = job;
    remove_job(batcher, least);
    least->later = batcher->first;
    batcher->first = least;
}

/* Returns the first job for the same tower of a client who had the fewest turns; NULL: there is no
 * such job. */
static struct batch_job *find_alike(const struct batcher *batcher, const struct batch_job *first)
{
    struct batch_job *found = NULL;
    for (struct batch_job *job = batcher->first; job; job = job->later)
        if (is_alike(job, first) && (!found || job->turns < found->turns))
            found = job;
    return found;
}

static void count_turn(struct batcher *batcher, struct batch_job *job)
{
    for (struct batch_job *other = batcher->first; other; other = other->later)
        other->turns += is_of_one_client(job, other);
}

static void take_batch(struct batcher *batcher)
{
    choose_first(batcher);
    const struct batch_job *first = batcher->first;
    struct batch_job *job;
    batcher->entry_count = 0;
    for (job = batcher->first; job; job = job->later)
        job->turns = 0;
    while (batcher->entry_count < batcher->batch_size && (job = find_alike(batcher, first))) {
        count_turn(batcher, job);
        remove_job(batcher, job);
        batcher->entries[batcher->entry_count++] = (struct entry){job, job->next++};
        job->running++;
        batcher->counts.waiting--;
        if (job->next < job->count)
            append(batcher, job);
    }
}

/* ---- A batch ------------------------------------------------------------------------------------- */

static void fail_job(struct batch_job *job, int error, const char *message)
{
    if (job->error)
        return;
    job->error = error;
    snprintf(job->message, sizeof(job->message), "%s", message);
}

/* Is a vkclip_item_fn. No other thread looks at the errors of a job that is running. */
static int take_item(void *user, const struct vkclip_item *item)
{
    struct batcher *batcher = user;
    const struct entry *entry = &batcher->entries[item->index];
    struct batch_job *job = entry->job;
    if (item->error)
        fail_job(job, item->error, item->message);
    else
        memcpy(job->embeds + entry->item * job->dim, item->embed, job->dim * sizeof(float));
    return 0;
}

/* Is a vkclip_source_fn. */
static int copy_pixels(void *user, size_t index, float *pixel_values)
{
    const struct batcher *batcher = user;
    const struct entry *entry = &batcher->entries[index];
    const struct batch_job *job = entry->job;
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
        texts[i] = batcher->entries[i].job->texts[batcher->entries[i].item];
    struct vkclip_model *model = batcher->entries[0].job->model;
    const int error = vkclip_encode_texts(model, texts, batcher->entry_count, params, NULL);
    free(texts);
    return error;
}

static int run_tokens(struct batcher *batcher, const struct vkclip_encode_params *params)
{
    const struct batch_job *first = batcher->entries[0].job;
    const size_t length = first->token_count;
    int32_t *ids = calloc(batcher->entry_count, length * sizeof(*ids));
    if (!ids)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a batch of tokens");
    for (size_t i = 0; i < batcher->entry_count; i++)
        memcpy(ids + i * length, batcher->entries[i].job->tokens[batcher->entries[i].item],
               length * sizeof(*ids));
    const int error =
        vkclip_encode_tokens(first->model, ids, batcher->entry_count, length, params, NULL);
    free(ids);
    return error;
}

static int run_batch(struct batcher *batcher)
{
    const struct batch_job *job = batcher->entries[0].job;
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .no_normalize = job->raw, .item = take_item, .user = batcher};
    if (job->tower == VKCLIP_TOWER_IMAGE)
        return vkclip_encode_source(job->model, copy_pixels, batcher->entry_count, &params, NULL);
    return job->token_count ? run_tokens(batcher, &params) : run_texts(batcher, &params);
}

static void count_batch(struct batcher *batcher, int error, double seconds)
{
    struct batcher_counts *counts = &batcher->counts;
    const enum vkclip_tower tower = batcher->entries[0].job->tower;
    size_t size = 0;
    while (size < BATCHER_SIZES - 1 && batcher->entry_count > (size_t)1 << size)
        size++;
    counts->batches[tower]++;
    counts->items[tower] += batcher->entry_count;
    counts->sizes[tower][size]++;
    counts->seconds[tower] += seconds;
    if (error == VKCLIP_ELOST && !counts->lost)
        log_message(VKCLIP_LOG_ERROR, "%s", vkclip_last_error());
    counts->lost = error == VKCLIP_ELOST;
}

static bool is_ended(const struct batch_job *job)
{
    return !job->running && (job->error || job->abandoned || job->done == job->count);
}

static void end_batch(struct batcher *batcher, int error, double seconds)
{
    count_batch(batcher, error, seconds);
    for (size_t i = 0; i < batcher->entry_count; i++) {
        struct batch_job *job = batcher->entries[i].job;
        job->running--;
        job->done++;
        if (error)
            fail_job(job, error, vkclip_last_error());
        if (job->error)
            remove_job(batcher, job);
        if (is_ended(job))
            condition_tell(&job->ended);
    }
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

void batcher_start(struct batcher *batcher, struct batch_job *job)
{
    job->next = job->running = job->done = 0;
    job->since = clock_seconds();
    job->abandoned = false;
    job->error = VKCLIP_OK;
    condition_init(&job->ended);
    mutex_lock(&batcher->lock);
    batcher->job_count++;
    if (job->count)
        append(batcher, job);
    batcher->counts.waiting += job->count;
    condition_tell(&batcher->queued);
    mutex_unlock(&batcher->lock);
}

int batcher_wait(struct batcher *batcher, struct request *request, struct batch_job *job)
{
    mutex_lock(&batcher->lock);
    while (!is_ended(job)) {
        condition_wait_for(&job->ended, &batcher->lock, CLOCK_MOMENT);
        if (!job->abandoned && request_is_over(request, 0, 0)) {
            job->abandoned = true;
            remove_job(batcher, job);
        }
    }
    remove_job(batcher, job);
    batcher->counts.waiting -= job->count - job->next;
    batcher->job_count--;
    mutex_unlock(&batcher->lock);
    condition_destroy(&job->ended);
    if (job->error) {
        error_keep(job->message);
        return job->error;
    }
    if (job->done < job->count)
        return error_fail(VKCLIP_ECANCELLED,
                          "the server is busy: the time for the request is over");
    return VKCLIP_OK;
}

int batcher_open(uint32_t batch_size, double wait_seconds, struct pool *pool,
                 struct batcher **result)
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
    batcher->pool = pool;
    mutex_init(&batcher->lock);
    condition_init(&batcher->queued);
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
