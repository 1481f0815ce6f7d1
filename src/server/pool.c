/* SPDX-License-Identifier: MIT */
#include "server/pool.h"
#include "base/clock.h"
#include "base/error.h"

#include <pthread.h>
#include <stdlib.h>

struct job {
    void (*run)(void *user);
    void *user;
};

struct pool {
    pthread_mutex_t lock; /* protects all that follows */
    pthread_cond_t queued, ended;
    size_t capacity;
    size_t taken;          /* places */
    size_t first, waiting; /* of the ring of jobs */
    size_t thread_count, idle;
    bool stopping, closing;
    pthread_t *threads; /* [capacity] */
    struct job jobs[];  /* [capacity] */
};

int pool_open(size_t capacity, struct pool **result)
{
    struct pool *pool = *result = calloc(1, sizeof(*pool) + capacity * sizeof(struct job));
    if (pool)
        pool->threads = calloc(capacity, sizeof(pthread_t));
    if (!pool || !pool->threads) {
        free(pool);
        *result = NULL;
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu requests", capacity);
    }
    pool->capacity = capacity;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_cond_init(&pool->queued, NULL);
    pthread_cond_init(&pool->ended, NULL);
    return VKCLIP_OK;
}

bool pool_reserve(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    const bool good = !pool->stopping && pool->taken < pool->capacity;
    pool->taken += good;
    pthread_mutex_unlock(&pool->lock);
    return good;
}

static void release_place(struct pool *pool)
{
    pool->taken--;
    pthread_cond_broadcast(&pool->ended);
}

static void *run_jobs(void *user)
{
    struct pool *pool = user;
    pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (!pool->waiting && !pool->closing) {
            pool->idle++;
            pthread_cond_wait(&pool->queued, &pool->lock);
            pool->idle--;
        }
        if (!pool->waiting)
            break;
        const struct job job = pool->jobs[pool->first];
        pool->first = (pool->first + 1) % pool->capacity;
        pool->waiting--;
        pthread_mutex_unlock(&pool->lock);
        job.run(job.user);
        pthread_mutex_lock(&pool->lock);
        release_place(pool);
    }
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Threads that wait for a batch are idle for the processor, so that each job may have its own. */
static void start_thread(struct pool *pool)
{
    if (pool->waiting <= pool->idle || pool->thread_count == pool->capacity)
        return;
    if (!pthread_create(&pool->threads[pool->thread_count], NULL, run_jobs, pool))
        pool->thread_count++;
}

void pool_run(struct pool *pool, void (*job)(void *user), void *user)
{
    pthread_mutex_lock(&pool->lock);
    pool->jobs[(pool->first + pool->waiting) % pool->capacity] =
        (struct job){.run = job, .user = user};
    pool->waiting++;
    start_thread(pool);
    const bool alone = !pool->thread_count;
    if (alone)
        pool->waiting--;
    else
        pthread_cond_signal(&pool->queued);
    pthread_mutex_unlock(&pool->lock);
    if (!alone)
        return;
    job(user);
    pthread_mutex_lock(&pool->lock);
    release_place(pool);
    pthread_mutex_unlock(&pool->lock);
}

bool pool_stop(struct pool *pool, double seconds)
{
    const double end = clock_seconds() + seconds;
    pthread_mutex_lock(&pool->lock);
    pool->stopping = true;
    while (pool->taken && clock_seconds() < end)
        clock_wait(&pool->ended, &pool->lock, end - clock_seconds());
    const bool good = !pool->taken;
    pthread_mutex_unlock(&pool->lock);
    return good;
}

void pool_close(struct pool **handle)
{
    struct pool *pool = *handle;
    if (!pool)
        return;
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    pthread_cond_broadcast(&pool->queued);
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->thread_count; i++)
        pthread_join(pool->threads[i], NULL);
    pthread_cond_destroy(&pool->ended);
    pthread_cond_destroy(&pool->queued);
    pthread_mutex_destroy(&pool->lock);
    free(pool->threads);
    free(pool);
    *handle = NULL;
}

size_t pool_count(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    const size_t count = pool->taken;
    pthread_mutex_unlock(&pool->lock);
    return count;
}
