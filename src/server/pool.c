/* SPDX-License-Identifier: MIT
 *
 * The thread that was idle for the shortest time gets the next job, so that as few threads run as
 * the load needs, and no other one is woken.
 */
#include "server/pool.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"

#include <math.h>
#include <stdlib.h>

/* Seconds after which a wait that has no end looks again. */
#define LOOK_AGAIN 60.

struct job {
    void (*run)(void *user); /* NULL: none */
    void *user;
};

struct worker {
    struct pool *pool;
    struct thread thread;
    struct condition wake;
    struct job job;
    struct worker *later; /* idle for longer */
};

struct pool {
    struct mutex lock; /* protects all that follows */
    struct condition ended;
    size_t capacity;
    size_t taken; /* places */
    bool stopping, closing;
    struct worker *idle;
    size_t worker_count;
    size_t first, waiting;   /* of the ring of jobs for which no thread could be started */
    struct job *jobs;        /* [capacity] */
    struct worker workers[]; /* [capacity] */
};

int pool_open(size_t capacity, struct pool **result)
{
    struct pool *pool = *result = calloc(1, sizeof(*pool) + capacity * sizeof(struct worker));
    if (pool)
        pool->jobs = calloc(capacity, sizeof(struct job));
    if (!pool || !pool->jobs) {
        free(pool);
        *result = NULL;
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu requests", capacity);
    }
    pool->capacity = capacity;
    mutex_init(&pool->lock);
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

/* Runs a job without the lock, and gives back its place. */
static void run_job(struct pool *pool, struct job job)
{
    mutex_unlock(&pool->lock);
    job.run(job.user);
    mutex_lock(&pool->lock);
    pool->taken--;
    condition_tell(&pool->ended);
}

/* Gives a worker its next job; none is left when the pool closes. */
static struct job wait_for_job(struct pool *pool, struct worker *worker)
{
    if (!worker->job.run && pool->waiting) {
        worker->job = pool->jobs[pool->first];
        pool->first = (pool->first + 1) % pool->capacity;
        pool->waiting--;
    } else if (!worker->job.run) {
        worker->later = pool->idle;
        pool->idle = worker;
    }
    while (!worker->job.run && !pool->closing)
        condition_wait(&worker->wake, &pool->lock);
    const struct job job = worker->job;
    worker->job = (struct job){.run = NULL};
    return job;
}

static void run_jobs(void *user)
{
    struct worker *worker = user;
    struct pool *pool = worker->pool;
    struct job job;
    mutex_lock(&pool->lock);
    while ((job = wait_for_job(pool, worker)).run)
        run_job(pool, job);
    mutex_unlock(&pool->lock);
}

/* Threads that wait for a batch are idle for the processor, so that each job may have its own. */
static bool start_worker(struct pool *pool, struct job job)
{
    if (pool->worker_count == pool->capacity)
        return false;
    struct worker *worker = &pool->workers[pool->worker_count];
    *worker = (struct worker){.pool = pool, .job = job};
    condition_init(&worker->wake);
    if (thread_start(&worker->thread, run_jobs, worker)) {
        pool->worker_count++;
        return true;
    }
    condition_destroy(&worker->wake);
    return false;
}

void pool_run(struct pool *pool, void (*run)(void *user), void *user)
{
    const struct job job = {run, user};
    mutex_lock(&pool->lock);
    struct worker *worker = pool->idle;
    if (worker) {
        pool->idle = worker->later;
        worker->job = job;
        condition_tell(&worker->wake);
    } else if (!start_worker(pool, job)) {
        if (pool->worker_count)
            pool->jobs[(pool->first + pool->waiting++) % pool->capacity] = job;
        else
            run_job(pool, job);
    }
    mutex_unlock(&pool->lock);
}

bool pool_stop(struct pool *pool, double end)
{
    mutex_lock(&pool->lock);
    pool->stopping = true;
    while (pool->taken && clock_seconds() < end)
        condition_wait_for(&pool->ended, &pool->lock, fmin(end - clock_seconds(), LOOK_AGAIN));
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
    for (struct worker *worker = pool->idle; worker; worker = worker->later)
        condition_tell(&worker->wake);
    mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->worker_count; i++) {
        thread_join(&pool->workers[i].thread);
        condition_destroy(&pool->workers[i].wake);
    }
    condition_destroy(&pool->ended);
    mutex_destroy(&pool->lock);
    free(pool->jobs);
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
