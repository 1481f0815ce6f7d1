/* SPDX-License-Identifier: MIT
 *
 * Threads that run the handlers of requests. The queue has a fixed length, so that a flood of
 * requests is refused instead of filling the memory.
 */
#ifndef VKCLIP_SERVER_POOL_H
#define VKCLIP_SERVER_POOL_H

#include <stdbool.h>
#include <stddef.h>

struct pool;

/* `capacity` is the most jobs that run or wait. Threads are started as they are needed. */
int pool_open(size_t capacity, struct pool **pool);
/* Takes a place for a job; false: all are taken, or the pool is being stopped. */
bool pool_reserve(struct pool *pool);
/* Runs job(user) in the place that was reserved. Without any thread it runs at once. */
void pool_run(struct pool *pool, void (*job)(void *user), void *user);
/* Refuses new jobs and waits until none runs or waits, or clock_seconds() is `end`; tells whether
 * none does. */
bool pool_stop(struct pool *pool, double end);
/* Waits for all jobs. */
void pool_close(struct pool **pool);
/* How many places are taken. */
size_t pool_count(struct pool *pool);

#endif
