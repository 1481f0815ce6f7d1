/* SPDX-License-Identifier: MIT */
#include "server/pool.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#include <stdlib.h>

struct job {
    void (*run)(void *user);
    void *user;
};

struct pool {
    struct mutex lock; /* protects all that follows */
    struct condition queued, ended;
    size_t capacity;
    size_t taken;          /* places */
    size_t first, waiting; /* of the ring of jobs */
    size_t thread_count, idle;
    bool stopping, closing;
    struct thread *threads; /* [capacity] */
    struct job jobs[];      /* [capacity] */
};

int pool_open(size_t capacity, struct pool **result)
{
    struct pool *pool = *result = calloc(1, sizeof(*pool) + capacity * sizeof(struct job));
    if (pool)
        pool->threads = calloc(capacity, sizeof(struct thread));
    if (!pool || !pool->threads) {
        free(pool);
        *result = NULL;
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu requests", capacity);
    }
    pool->capacity = capacity;
    mutex_init(&pool->lock);
    condition_init(&pool->queued);
    condition_init(&pool->ended);
    return VKCLIP_OK;
}

bool pool_reserve(struct pool *pool)
{
    mutex_lock(&pool->lock);
    const bool good = !pool->stopping && pool->taken < pool->capacity;
    pool->taken += good;
    mutex_unlock(&pool->lock);
    return good;
}

static void release_place(struct pool *pool)
{
    pool->taken--;
    condition_tell(&pool->ended);
}

static void run_jobs(void *user)
{
    struct pool *pool = user;
    mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->waiting && !pool->closing) {
            pool->idle++;
            condition_wait(&pool->queued, &pool->lock);
            pool->idle--;
        }
        if (!pool->waiting)
            break;
        const struct job job = pool->jobs[pool->first];
        pool->first = (pool->first + 1) % pool->capacity;
        pool->waiting--;
        mutex_unlock(&pool->lock);
        job.run(job.user);
        mutex_lock(&pool->lock);
        release_place(pool);
    }
    mutex_unlock(&pool->lock);
}

/* Threads that wait for a batch are idle for the processor, so that each job may have its own. */
static void start_thread(struct pool *pool)
{
    if (pool->waiting <= pool->idle || pool->thread_count == pool->capacity)
        return;
    if (thread_start(&pool->threads[pool->thread_count], run_jobs, pool))
        pool->thread_count++;
}

void pool_run(struct pool *pool, void (*job)(void *user), void *user)
{
    mutex_lock(&pool->lock);
    pool->jobs[(pool->first + pool->waiting) % pool->capacity] =
        (struct job){.run = job, .user = user};
    pool->waiting++;
    start_thread(pool);
    const bool alone = !pool->thread_count;
    if (alone)
        pool->waiting--;
    else
        condition_tell(&pool->queued);
    mutex_unlock(&pool->lock);
    if (!alone)
        return;
    job(user);
    mutex_lock(&pool->lock);
    release_place(pool);
    mutex_unlock(&pool->lock);
}

bool pool_stop(struct pool *pool, double seconds)
{
    const double end = clock_seconds() + seconds;
    mutex_lock(&pool->lock);
    pool->stopping = true;
    while (pool->taken && clock_seconds() < end)
        condition_wait_for(&pool->ended, &pool->lock, end - clock_seconds());
    const bool good = !pool->taken;
    mutex_unlock(&pool->lock);
    return good;
}

void pool_close(struct pool **handle)
{
    struct pool *pool = *handle;
    if (!pool)
        return;
    mutex_lock(&pool->lock);
    pool->closing = true;
    condition_tell(&pool->queued);
    mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->thread_count; i++)
        thread_join(&pool->threads[i]);
    condition_destroy(&pool->ended);
    condition_destroy(&pool->queued);
    mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool);
    *handle = NULL;
}

size_t pool_count(struct pool *pool)
{
    mutex_lock(&pool->lock);
    const size_t count = pool->taken;
    mutex_unlock(&pool->lock);
    return count;
}
