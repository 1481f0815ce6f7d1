/* SPDX-License-Identifier: MIT
 *
 * Drives every replica with one thread, which takes batches as long as no other replica would
 * complete them sooner. The caller's thread drives the first replica and is the only one that
 * delivers results.
 */
#include "encode/batches.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/thread.h"
#include "base/turns.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

/* Seconds of work that a replica takes while another one's speed is unknown. With less, batches
 * would be small and slow; with more, too little would be left for a device that turns out to be
 * fast. */
#define TRIAL 0.5

struct state {
    const struct batches *work;
    struct replica *const *replicas;
    struct workers *workers;
    struct mutex lock;        /* protects everything below */
    struct condition changed; /* A batch or a driver ended, or items were delivered. */
    size_t replica_count;
    size_t driven, ended; /* number of replicas that have a driver, and that no longer have one */
    struct batches_load loads[BATCHES_REPLICAS];
    size_t next, done, delivered; /* numbers of items */
    bool *complete;               /* [window], completed items that are not delivered */
    bool failed;
    bool pauses; /* Another call waits: no batch is begun until it has run. */
};

struct batch {
    const struct replica_plan *plan;
    size_t first, number;
    uint32_t size, length;
    bool runs; /* At least one item was not left out. */
    double submitted;
};

/* The thread of one replica. */
struct driver {
    struct state *state;
    size_t number;
    struct replica *replica;
    bool delivers;     /* It is the caller's thread. */
    double idle_since; /* when the device completed the previous batch */
    struct batch rest; /* the items of a batch that did not fit in memory, and was cut */
    int losses;        /* how often the device was lost since a batch was completed */
};

/* ---- How much a replica takes ---------------------------------------------------------------- */

/* Returns the size of a batch for `left` items: the largest power of two that they fill, or the
 * next power if at most a quarter of it is padding. */
static uint32_t batch_size(uint32_t most, size_t left)
{
    uint32_t size = 1;
    while (size < most && size * 2 <= left)
        size *= 2;
    bool larger = size < most && left > size && left * 4 >= (size_t)size * 2 * 3;
    return larger ? size * 2 : size;
}

size_t batches_share(const struct batches_load *loads, size_t count, size_t number, size_t left)
{
    const struct batches_load *mine = &loads[number];
    double speed = 0, items = (double)left, soonest = 0;
    size_t active = 0;
    bool unknown = false;
    for (size_t i = 0; i < count; i++) {
        const struct batches_load *load = &loads[i];
        active += load->active;
        unknown |= load->active && load->speed <= 0;
        if (!load->active || load->speed <= 0)
            continue;
        double one_more = (double)(load->in_flight + 1) / load->speed;
        soonest = speed > 0 && soonest < one_more ? soonest : one_more;
        speed += load->speed;
        items += (double)load->in_flight;
    }
    if (active <= 1)
        return left;
    if (mine->speed <= 0)
        return mine->in_flight ? 0 : 1;
    double share = items / speed * mine->speed - (double)mine->in_flight;
    if (unknown && share > TRIAL * mine->speed)
        share = fmax(TRIAL * mine->speed, 1);
    /* Speeds are estimates, so that only half of the share is taken at once: the remaining items
     * can compensate for an estimate that was wrong. */
    if (share >= 2)
        return (size_t)(share / 2);
    bool first = (double)(mine->in_flight + 1) / mine->speed <= soonest;
    return share >= 1 || first ? 1 : 0;
}

/* Returns the end of the items that may be started now. */
static size_t window_end(const struct state *state)
{
    const struct batches *work = state->work;
    bool limited = work->window && work->count - state->delivered > work->window;
    return limited ? state->delivered + work->window : work->count;
}

static size_t share_now(const struct state *state, size_t number)
{
    const size_t left = window_end(state) - state->next;
    if (state->failed || state->pauses || !left)
        return 0;
    return batches_share(state->loads, state->replica_count, number, left);
}

static bool has_delivery(const struct state *state)
{
    const struct batches *work = state->work;
    return work->window && state->delivered < work->count &&
           state->complete[state->delivered % work->window];
}

/* Must be called with the lock held. A replica without work waits if items beyond the window may
 * become its own later, unless its thread must deliver something first. */
static size_t wait_for_share(const struct driver *driver, bool idle)
{
    struct state *state = driver->state;
    size_t number = share_now(state, driver->number);
    while (!number && idle && !state->failed && !state->pauses &&
           window_end(state) < state->work->count && !(driver->delivers && has_delivery(state))) {
        condition_wait(&state->changed, &state->lock);
        number = share_now(state, driver->number);
    }
    return number;
}

static void fill_batch(const struct driver *driver, size_t number, struct batch *batch)
{
    struct state *state = driver->state;
    const struct batches_group *group = state->work->groups;
    while (group->end <= state->next && group->end < state->work->count)
        group++;
    const size_t end = group->end < window_end(state) ? group->end : window_end(state);
    const size_t left = end - state->next;
    number = number < left ? number : left;
    batch->length = group->length;
    batch->size = batch_size(replica_most_batch(driver->replica, state->work->tower), number);
    batch->first = state->next;
    batch->number = batch->size < left ? batch->size : left;
    state->next += batch->number;
    state->loads[driver->number].in_flight += batch->number;
}

/* Takes a batch from the items of one that was cut. */
static void take_rest(struct driver *driver, struct batch *batch)
{
    struct batch *rest = &driver->rest;
    const uint32_t most = replica_most_batch(driver->replica, driver->state->work->tower);
    *batch = *rest;
    batch->size = batch_size(most, rest->number);
    batch->number = batch->size < rest->number ? batch->size : rest->number;
    rest->first += batch->number;
    rest->number -= batch->number;
}

/* Gives back a batch that does not fit in memory, to be done in smaller ones. */
static void cut_batch(struct driver *driver, const struct batch *batch)
{
    struct batch *rest = &driver->rest;
    replica_lower_batch(driver->replica, driver->state->work->tower, batch->size / 2);
    rest->first = batch->first; /* What is left of an earlier batch follows these items. */
    rest->number += batch->number;
    rest->length = batch->length;
}

/* Returns false if there is nothing for this replica, at least until its batches in flight are
 * complete. */
static bool take_batch(struct driver *driver, bool idle, struct batch *batch)
{
    struct state *state = driver->state;
    if (driver->rest.number) {
        take_rest(driver, batch);
        return true;
    }
    const bool wanted = turn_is_wanted();
    mutex_lock(&state->lock);
    if (wanted && !state->pauses) {
        state->pauses = true;
        condition_tell(&state->changed);
    }
    const size_t number = wait_for_share(driver, idle);
    if (number)
        fill_batch(driver, number, batch);
    else if (idle && (state->failed || state->pauses || window_end(state) == state->work->count))
        state->loads[driver->number].active = false;
    mutex_unlock(&state->lock);
    return number > 0;
}

/* ---- One batch ------------------------------------------------------------------------------- */

struct writing {
    const struct batches *work;
    struct replica *replica;
    const struct batch *batch;
    atomic_size_t written; /* items */
};

static int write_item(void *user, size_t index, unsigned thread)
{
    struct writing *writing = user;
    const struct batches *work = writing->work;
    const struct batch *batch = writing->batch;
    int result = work->write(work->user, writing->replica, batch->plan, batch->first + index,
                             (uint32_t)index, thread);
    if (result == BATCHES_LEFT_OUT)
        return VKCLIP_OK;
    atomic_fetch_add(&writing->written, 1);
    return result;
}

static int submit_batch(const struct driver *driver, struct batch *batch)
{
    const struct batches *work = driver->state->work;
    struct writing writing = {.work = work, .replica = driver->replica, .batch = batch};
    const struct replica_request request = {.tower = work->tower,
                                            .batch = batch->size,
                                            .length = batch->length,
                                            .hidden = work->hidden,
                                            .on_device = work->on_device,
                                            .features = work->features};
    int error = replica_get_plan(driver->replica, &request, &batch->plan);
    if (!error && work->parallel)
        error = workers_run(driver->state->workers, write_item, &writing, batch->number);
    for (size_t i = 0; i < batch->number && !error && !work->parallel; i++)
        error = write_item(&writing, i, 0);
    batch->runs = writing.written || work->hidden;
    if (!error && batch->runs)
        error = plan_submit(batch->plan->plan);
    batch->submitted = clock_seconds();
    return error;
}

/* Counts a batch as done. The results of a batch that failed are never delivered. */
static void count_batch(struct driver *driver, const struct batch *batch, bool failed)
{
    struct state *state = driver->state;
    const struct batches *work = state->work;
    mutex_lock(&state->lock);
    state->loads[driver->number].speed = replica_speed(driver->replica, work->tower);
    state->loads[driver->number].in_flight -= batch->number;
    state->done += batch->number;
    for (size_t i = 0; i < batch->number && work->window && !failed; i++)
        state->complete[(batch->first + i) % work->window] = true;
    condition_tell(&state->changed);
    mutex_unlock(&state->lock);
}

/* Waits for the oldest batch, after which so many others still run. */
static int finish_batch(struct driver *driver, const struct batch *batch, size_t others)
{
    const struct batches *work = driver->state->work;
    int error = batch->runs ? plan_wait(batch->plan->plan) : VKCLIP_OK;
    replica_note_running(driver->replica, others);
    if (error == VKCLIP_ELOST)
        return error; /* The batch may run again. */
    driver->losses = 0;
    const double now = clock_seconds();
    if (!error && batch->runs) {
        double start = fmax(batch->submitted, driver->idle_since);
        replica_record_run(driver->replica, work->tower, batch->number, now - start);
        error = work->read(work->user, batch->plan, batch->first, batch->number);
    }
    driver->idle_since = now;
    count_batch(driver, batch, error);
    return error;
}

/* ---- The whole call -------------------------------------------------------------------------- */

static int report_progress(struct state *state)
{
    mutex_lock(&state->lock);
    size_t done = state->done;
    mutex_unlock(&state->lock);
    return state->work->progress ? state->work->progress(state->work->user, done)
                                 : progress_check();
}

/* Stops all replicas from taking more items. */
static void stop_all(struct state *state)
{
    mutex_lock(&state->lock);
    state->failed = true;
    condition_tell(&state->changed);
    mutex_unlock(&state->lock);
}

/* Delivers every complete item whose predecessors are all delivered. */
static int deliver_ready(struct state *state)
{
    const struct batches *work = state->work;
    int error = VKCLIP_OK;
    mutex_lock(&state->lock);
    while (!error && has_delivery(state)) {
        const size_t first = state->delivered;
        size_t number = 1;
        while (number < work->window && first + number < work->count &&
               state->complete[(first + number) % work->window])
            number++;
        mutex_unlock(&state->lock);
        error = work->deliver(work->user, first, number);
        mutex_lock(&state->lock);
        for (size_t i = 0; i < number; i++)
            state->complete[(first + i) % work->window] = false;
        state->delivered += number;
        condition_tell(&state->changed);
    }
    mutex_unlock(&state->lock);
    return error;
}

/* Adds to the message which of several devices failed. */
static int name_device(const struct driver *driver, int error)
{
    const struct vkclip_device_info *info = gpu_info(replica_gpu(driver->replica));
    if (driver->state->replica_count == 1 ||
        (error != VKCLIP_EDEVICE && error != VKCLIP_EDEVICEMEMORY && error != VKCLIP_ELOST))
        return error;
    bool named = strstr(error_last(), info->name);
    return error_fail(error, "device %u%s%s failed: %s", info->index, named ? "" : ", ",
                      named ? "" : info->name, error_last());
}

/* ---- A lost device --------------------------------------------------------------------------- */

/* A lost device is opened again at most this often for one batch: once, and once more because the
 * kernels that ran for the first time then run one by one, which tells which of them to leave out.
 */
#define MOST_LOSSES 2

/* Opens the device again after it was lost, and submits all batches in flight again. Without
 * success no batch is in flight any more. */
static int recover(struct driver *driver, struct batch *batches, size_t *count)
{
    if (driver->losses++ == MOST_LOSSES) {
        *count = 0;
        return VKCLIP_ELOST;
    }
    if (!gpu_is_lent(replica_gpu(driver->replica)))
        log_message(VKCLIP_LOG_WARNING, "%s; the device is opened again", error_last());
    replica_note_running(driver->replica, 0);
    int error = replica_reopen(driver->replica);
    for (size_t i = 0; i < *count && !error; i++)
        error = submit_batch(driver, &batches[i]);
    if (error == VKCLIP_ELOST)
        return recover(driver, batches, count);
    if (error)
        *count = 0;
    replica_note_running(driver->replica, *count);
    return error;
}

/* ---- Driving one replica --------------------------------------------------------------------- */

/* Submits as many batches as may be in flight at once. */
static int submit_batches(struct driver *driver, struct batch batches[PLAN_REPLAYS], size_t *count)
{
    int error = VKCLIP_OK;
    while (!error && *count < PLAN_REPLAYS && take_batch(driver, !*count, &batches[*count])) {
        error = submit_batch(driver, &batches[*count]);
        *count += !error || error == VKCLIP_ELOST;
        replica_note_running(driver->replica, *count);
        if (error == VKCLIP_ELOST) {
            error = recover(driver, batches, count);
        } else if (error == VKCLIP_EDEVICEMEMORY && batches[*count].size > 1) {
            cut_batch(driver, &batches[*count]);
            error = VKCLIP_OK;
        }
    }
    return error;
}

/* Waits for the oldest batch. If its device is lost the batch stays the oldest one, to be waited
 * for again, unless the call has failed already. */
static int finish_oldest(struct driver *driver, struct batch batches[PLAN_REPLAYS], size_t *count,
                         bool failed)
{
    int error = finish_batch(driver, &batches[0], *count - 1);
    if (error == VKCLIP_ELOST && !failed)
        return recover(driver, batches, count);
    --*count;
    for (size_t i = 0; i < *count; i++)
        batches[i] = batches[i + 1];
    return error;
}

static bool is_active(const struct driver *driver)
{
    struct state *state = driver->state;
    mutex_lock(&state->lock);
    const bool active = state->loads[driver->number].active;
    mutex_unlock(&state->lock);
    return active;
}

/* Drives a replica until it gets no more batches. After an error it still waits for the batches in
 * flight, because they use the plan. */
static int drive_batches(struct driver *driver)
{
    struct state *state = driver->state;
    struct batch batches[PLAN_REPLAYS];
    size_t count = 0;
    int error = VKCLIP_OK;
    do {
        if (!error)
            error = submit_batches(driver, batches, &count);
        const bool finishes = count > 0;
        if (finishes) {
            int failed = finish_oldest(driver, batches, &count, error);
            error = error ? error : failed;
        }
        if (!error && driver->delivers)
            error = deliver_ready(state);
        if (!error && driver->delivers && finishes)
            error = report_progress(state);
        if (error)
            stop_all(state);
    } while (count || (!error && is_active(driver)));
    return error ? name_device(driver, error) : VKCLIP_OK;
}

static int drive_replica(struct state *state, size_t number, bool delivers)
{
    struct driver driver = {
        .state = state, .number = number, .replica = state->replicas[number], .delivers = delivers};
    int error = drive_batches(&driver);
    mutex_lock(&state->lock);
    state->ended++;
    condition_tell(&state->changed);
    mutex_unlock(&state->lock);
    return error;
}

/* Drives the next replica. There is one job more than threads, because a pool starts no threads for
 * a single job; the surplus job finds no replica without a driver. */
static int drive_next(void *user, size_t index, unsigned thread)
{
    struct state *state = user;
    (void)index;
    (void)thread;
    mutex_lock(&state->lock);
    const size_t number = state->driven;
    const bool found = number < state->replica_count;
    state->driven += found;
    mutex_unlock(&state->lock);
    return found ? drive_replica(state, number, false) : VKCLIP_OK;
}

/* Delivers on the caller's thread, whose replica has no more work, until the other drivers end. */
static int deliver_for_others(struct state *state)
{
    int error = VKCLIP_OK;
    bool all_ended = false;
    while (!error && !all_ended) {
        mutex_lock(&state->lock);
        if (state->ended < state->replica_count && !has_delivery(state))
            condition_wait_for(&state->changed, &state->lock, CLOCK_MOMENT);
        all_ended = state->ended == state->replica_count;
        mutex_unlock(&state->lock);
        error = deliver_ready(state);
        if (!error)
            error = report_progress(state);
    }
    if (error)
        stop_all(state);
    return error;
}

/* Drives all replicas, or fewer if the pool cannot start its threads: a replica without a driver
 * would keep its share of the items from the others. */
static int drive_several(struct state *state, struct workers *drivers)
{
    struct workers_group group = {.job = drive_next,
                                  .user = state,
                                  .count = state->replica_count,
                                  .progress = progress_current(),
                                  .turn = turn_current()};
    mutex_lock(&state->lock);
    const size_t threads = workers_start(drivers, &group);
    if (state->replica_count > threads + 1)
        state->replica_count = threads + 1;
    state->driven = 1;
    mutex_unlock(&state->lock);
    int error = drive_replica(state, 0, true);
    if (!error)
        error = deliver_for_others(state);
    int failed = workers_wait(drivers, &group);
    return failed ? failed : error;
}

/* Runs batches until all are complete, or until the call has to give way. */
static int drive_all(struct state *state, struct workers *drivers)
{
    state->pauses = false;
    state->ended = 0;
    for (size_t i = 0; i < state->replica_count; i++)
        state->loads[i].active = true;
    return state->replica_count > 1 ? drive_several(state, drivers) : drive_replica(state, 0, true);
}

int batches_run(const struct batches *work, struct replica *const *replicas, size_t replica_count,
                struct workers *drivers, struct workers *workers)
{
    struct state state = {
        .work = work, .replicas = replicas, .workers = workers, .replica_count = replica_count};
    if (work->window)
        state.complete = memory_calloc(work->window, sizeof(*state.complete));
    if (work->window && !state.complete)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the results of %zu items",
                          work->window);
    mutex_init(&state.lock);
    condition_init(&state.changed);
    for (size_t i = 0; i < replica_count; i++)
        state.loads[i] = (struct batches_load){.speed = replica_speed(replicas[i], work->tower)};
    int error = work->count ? progress_check() : VKCLIP_OK;
    if (!error)
        error = drive_all(&state, drivers);
    while (!error && state.next < work->count) {
        error = turn_give_way();
        if (!error)
            error = drive_all(&state, drivers);
    }
    condition_destroy(&state.changed);
    mutex_destroy(&state.lock);
    memory_free(state.complete);
    return error;
}
