/* SPDX-License-Identifier: MIT
 *
 * Every lane has a thread that takes batches as long as it would not be the last to finish.
 */
#include "encode.h"

#include <pthread.h>

/* One lane's side of a run. */
struct share {
    struct lane *lane;
    double speed;     /* items a second as measured; 0: not yet */
    size_t under_way; /* items */
    bool active;      /* may take more */
};

struct state {
    const struct encode *encode;
    struct workers *workers;
    size_t lane_count, active;
    pthread_mutex_t lock; /* of all below */
    struct share shares[ENCODE_LANES];
    size_t next, done; /* items */
    bool failed;
};

struct batch {
    const struct lane_plan *plan;
    size_t first, number;
    uint32_t size, length;
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

/* Items that this lane should take of `left` so that all end at the same time; 0: another one has
 * even the next one done sooner. A lane whose speed is not known tries one item. */
static size_t fair_share(const struct state *state, const struct share *mine, size_t left)
{
    double speed = 0, items = (double)left, soonest = 0;
    if (state->active == 1)
        return left;
    if (mine->speed <= 0)
        return mine->under_way ? 0 : 1;
    double me = (double)(mine->under_way + 1) / mine->speed;
    for (size_t i = 0; i < state->lane_count; i++) {
        const struct share *share = &state->shares[i];
        if (!share->active || share->speed <= 0)
            continue;
        double one_more = (double)(share->under_way + 1) / share->speed;
        soonest = speed > 0 && soonest < one_more ? soonest : one_more;
        speed += share->speed;
        items += (double)share->under_way;
    }
    double share = items / speed * mine->speed - (double)mine->under_way;
    return share >= 1 ? (size_t)share : share >= 0.5 || me <= soonest ? 1 : 0;
}

/* False: nothing (more) for this lane, at least until what it has under way is done. */
static bool take(struct state *state, struct share *mine, struct batch *batch)
{
    const struct encode_group *group = state->encode->groups;
    pthread_mutex_lock(&state->lock);
    while (group->end <= state->next && group->end < state->encode->count)
        group++;
    size_t left = state->failed ? 0 : state->encode->count - state->next;
    size_t number = left ? fair_share(state, mine, left) : 0;
    if (number) {
        left = group->end - state->next;
        number = number < left ? number : left;
        batch->length = group->length;
        batch->size = bucket(lane_most_batch(mine->lane, state->encode->tower), number);
        batch->first = state->next;
        batch->number = batch->size < left ? batch->size : left;
        state->next += batch->number;
        mine->under_way += batch->number;
    } else if (!mine->under_way && mine->active) {
        mine->active = false;
        state->active--;
    }
    pthread_mutex_unlock(&state->lock);
    return number > 0;
}

/* ---- One batch ---------------------------------------------------------------------------------
 */

struct writing {
    const struct encode *encode;
    struct lane *lane;
    const struct batch *batch;
};

static int write_item(void *user, size_t index, unsigned thread)
{
    const struct writing *writing = user;
    const struct batch *batch = writing->batch;
    return writing->encode->write(writing->encode->user, writing->lane, batch->plan,
                                  batch->first + index, (uint32_t)index, thread);
}

static int submit(const struct state *state, struct share *mine, struct batch *batch)
{
    const struct encode *encode = state->encode;
    struct writing writing = {encode, mine->lane, batch};
    int error = lane_get_plan(mine->lane, encode->tower, batch->size, batch->length, encode->hidden,
                              &batch->plan);
    if (!error)
        error = plan_begin(batch->plan->plan);
    if (!error && encode->parallel)
        error = workers_run(state->workers, write_item, &writing, batch->number);
    for (size_t i = 0; i < batch->number && !error && !encode->parallel; i++)
        error = write_item(&writing, i, 0);
    if (!error)
        error = plan_submit(batch->plan->plan);
    batch->submitted = util_seconds();
    return error;
}

/* `before`: when the device was done with the batch before. */
static int finish(struct state *state, struct share *mine, const struct batch *batch,
                  double *before)
{
    const struct encode *encode = state->encode;
    int error = plan_wait(batch->plan->plan);
    double now = util_seconds();
    if (!error) {
        lane_count_run(mine->lane, encode->tower, batch->number,
                       now - (batch->submitted > *before ? batch->submitted : *before));
        error = encode->read(encode->user, batch->plan, batch->first, batch->number);
    }
    *before = now;
    pthread_mutex_lock(&state->lock);
    mine->speed = lane_speed(mine->lane, encode->tower);
    mine->under_way -= batch->number;
    state->done += batch->number;
    pthread_mutex_unlock(&state->lock);
    return error;
}

/* ---- All of them -------------------------------------------------------------------------------
 */

static void report(struct state *state)
{
    pthread_mutex_lock(&state->lock);
    size_t done = state->done;
    pthread_mutex_unlock(&state->lock);
    if (state->encode->progress)
        state->encode->progress(state->encode->user, done);
}

/* The others take nothing more. */
static void stop(struct state *state)
{
    pthread_mutex_lock(&state->lock);
    state->failed = true;
    pthread_mutex_unlock(&state->lock);
}

/* Says which device it was where there are several. */
static int name_device(const struct state *state, const struct share *mine, int error)
{
    const struct vkclip_device_info *info = gpu_info(lane_gpu(mine->lane));
    if (state->lane_count == 1 || (error != VKCLIP_EDEVICE && error != VKCLIP_EDEVICEMEMORY))
        return error;
    return util_fail(error, "device %u, %s, failed: %s", info->index, info->name,
                     vkclip_last_error());
}

static int drive_lane(void *user, size_t index, unsigned thread)
{
    struct state *state = user;
    struct share *mine = &state->shares[index];
    struct batch batches[PLAN_RUNS]; /* under way, the oldest first */
    size_t count = 0;
    double before = 0;
    int error = VKCLIP_OK;
    for (;;) {
        while (!error && count < PLAN_RUNS && take(state, mine, &batches[count])) {
            error = submit(state, mine, &batches[count]);
            count += !error;
        }
        if (!count)
            break;
        if (error)
            stop(state); /* and first end what is under way */
        int failed = finish(state, mine, &batches[0], &before);
        error = error ? error : failed;
        for (size_t i = 1; i < count; i++)
            batches[i - 1] = batches[i];
        count--;
        if (!error && thread == 0) /* the caller's */
            report(state);
    }
    if (error)
        stop(state);
    return error ? name_device(state, mine, error) : VKCLIP_OK;
}

int encode_run(const struct encode *encode, struct lane *const *lanes, size_t lane_count,
               struct workers *drivers, struct workers *workers)
{
    struct state state = {
        .encode = encode, .workers = workers, .lane_count = lane_count, .active = lane_count};
    pthread_mutex_init(&state.lock, NULL);
    for (size_t i = 0; i < lane_count; i++)
        state.shares[i] = (struct share){
            .lane = lanes[i], .speed = lane_speed(lanes[i], encode->tower), .active = true};
    int error = lane_count == 1 ? drive_lane(&state, 0, 0)
                                : workers_run(drivers, drive_lane, &state, lane_count);
    if (!error && lane_count > 1)
        report(&state); /* the caller's lane need not be the last one */
    pthread_mutex_destroy(&state.lock);
    return error;
}
