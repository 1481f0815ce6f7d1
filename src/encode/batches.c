/* SPDX-License-Identifier: MIT
 *
 * Every replica has a thread that takes batches as long as it would not be the last to finish.
 */
#include "encode/batches.h"
#include "base/clock.h"
#include "base/error.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#define TRIAL 0.5 /* seconds of work that one takes while another one's speed is not known */

struct state {
    const struct batches *work;
    struct replica *const *replicas;
    struct workers *workers;
    size_t replica_count;
    pthread_mutex_t lock; /* of all below */
    struct batches_load loads[BATCHES_REPLICAS];
    size_t next, done; /* items */
    bool failed;
};

/* A replica's side of it. */
struct driver {
    struct state *state;
    size_t number;
    struct replica *replica;
    double idle; /* when the device was done with the batch before */
};

struct batch {
    const struct replica_plan *plan;
    size_t first, number;
    uint32_t size, length;
    bool runs; /* unless all of it was left out */
    double submitted;
};

/* The batch for `left` items: the largest that they fill, or the next when at most a quarter is
 * padding. */
static uint32_t bucket(uint32_t most, size_t left)
{
    uint32_t batch = 1;
    while (batch < most && batch * 2 <= left)
        batch *= 2;
    return batch < most && left > batch && left * 4 >= (size_t)batch * 2 * 3 ? batch * 2 : batch;
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
        double one_more = (double)(load->under_way + 1) / load->speed;
        soonest = speed > 0 && soonest < one_more ? soonest : one_more;
        speed += load->speed;
        items += (double)load->under_way;
    }
    if (active <= 1)
        return left;
    if (mine->speed <= 0)
        return mine->under_way ? 0 : 1;
    double share = items / speed * mine->speed - (double)mine->under_way;
    if (unknown && share > TRIAL * mine->speed) /* the other may turn out to be much faster */
        share = fmax(TRIAL * mine->speed, 1);
    bool first = (double)(mine->under_way + 1) / mine->speed <= soonest;
    /* half of it, as speeds are estimates: what was wrong is made up for with the rest */
    return share >= 2 ? (size_t)(share / 2) : share >= 1 || first ? 1 : 0;
}

/* False: nothing (more) for this replica, at least until what it has under way is done. */
static bool take(const struct driver *driver, struct batch *batch)
{
    struct state *state = driver->state;
    struct batches_load *mine = &state->loads[driver->number];
    const struct batches_group *group = state->work->groups;
    pthread_mutex_lock(&state->lock);
    while (group->end <= state->next && group->end < state->work->count)
        group++;
    size_t left = state->failed ? 0 : state->work->count - state->next;
    size_t number =
        left ? batches_share(state->loads, state->replica_count, driver->number, left) : 0;
    if (number) {
        left = group->end - state->next;
        number = number < left ? number : left;
        batch->length = group->length;
        batch->size = bucket(replica_most_batch(driver->replica, state->work->tower), number);
        batch->first = state->next;
        batch->number = batch->size < left ? batch->size : left;
        state->next += batch->number;
        mine->under_way += batch->number;
    } else if (!mine->under_way) {
        mine->active = false;
    }
    pthread_mutex_unlock(&state->lock);
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
    const struct batch *batch = writing->batch;
    int result = writing->work->write(writing->work->user, writing->replica, batch->plan,
                                      batch->first + index, (uint32_t)index, thread);
    if (result == BATCHES_LEFT_OUT)
        return VKCLIP_OK;
    atomic_fetch_add(&writing->written, 1);
    return result;
}

static int submit(const struct driver *driver, struct batch *batch)
{
    const struct batches *work = driver->state->work;
    struct writing writing = {.work = work, .replica = driver->replica, .batch = batch};
    int error = replica_get_plan(driver->replica, work->tower, batch->size, batch->length,
                                 work->hidden, &batch->plan);
    if (!error)
        error = plan_begin(batch->plan->plan);
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

static int finish(struct driver *driver, const struct batch *batch)
{
    struct state *state = driver->state;
    const struct batches *work = state->work;
    int error = batch->runs ? plan_wait(batch->plan->plan) : VKCLIP_OK;
    double now = clock_seconds(), from = batch->submitted;
    if (!error && batch->runs) {
        replica_record_run(driver->replica, work->tower, batch->number,
                           now - (from > driver->idle ? from : driver->idle));
        error = work->read(work->user, batch->plan, batch->first, batch->number);
    }
    driver->idle = now;
    pthread_mutex_lock(&state->lock);
    state->loads[driver->number].speed = replica_speed(driver->replica, work->tower);
    state->loads[driver->number].under_way -= batch->number;
    state->done += batch->number;
    pthread_mutex_unlock(&state->lock);
    return error;
}

/* ---- All of them ----------------------------------------------------------------------------- */

static void report(struct state *state)
{
    pthread_mutex_lock(&state->lock);
    size_t done = state->done;
    pthread_mutex_unlock(&state->lock);
    if (state->work->progress)
        state->work->progress(state->work->user, done);
}

/* The others take nothing more. */
static void stop(struct state *state)
{
    pthread_mutex_lock(&state->lock);
    state->failed = true;
    pthread_mutex_unlock(&state->lock);
}

/* Says which device it was where there are several. */
static int name_device(const struct driver *driver, int error)
{
    const struct vkclip_device_info *info = gpu_info(replica_gpu(driver->replica));
    if (driver->state->replica_count == 1 ||
        (error != VKCLIP_EDEVICE && error != VKCLIP_EDEVICEMEMORY))
        return error;
    bool named = strstr(vkclip_last_error(), info->name);
    return error_fail(error, "device %u%s%s failed: %s", info->index, named ? "" : ", ",
                      named ? "" : info->name, vkclip_last_error());
}

static int drive_replica(void *user, size_t index, unsigned thread)
{
    struct state *state = user;
    struct driver driver = {.state = state, .number = index, .replica = state->replicas[index]};
    struct batch batches[PLAN_RUNS]; /* under way, the oldest first */
    size_t count = 0;
    int error = VKCLIP_OK;
    for (;;) {
        while (!error && count < PLAN_RUNS && take(&driver, &batches[count])) {
            error = submit(&driver, &batches[count]);
            count += !error;
        }
        if (error)
            stop(state);
        if (!count)
            break;
        int failed = finish(&driver, &batches[0]); /* also after an error */
        error = error ? error : failed;
        for (size_t i = 1; i < count; i++)
            batches[i - 1] = batches[i];
        count--;
        if (!error && thread == 0) /* the caller's */
            report(state);
    }
    return error ? name_device(&driver, error) : VKCLIP_OK;
}

int batches_run(const struct batches *work, struct replica *const *replicas, size_t replica_count,
                struct workers *drivers, struct workers *workers)
{
    struct state state = {
        .work = work, .replicas = replicas, .workers = workers, .replica_count = replica_count};
    pthread_mutex_init(&state.lock, NULL);
    for (size_t i = 0; i < replica_count; i++)
        state.loads[i] =
            (struct batches_load){.speed = replica_speed(replicas[i], work->tower), .active = true};
    int error = replica_count == 1 ? drive_replica(&state, 0, 0)
                                   : workers_run(drivers, drive_replica, &state, replica_count);
    if (!error && replica_count > 1)
        report(&state); /* the caller's replica need not be the last one */
    pthread_mutex_destroy(&state.lock);
    return error;
}
