/* SPDX-License-Identifier: MIT
 *
 * A pool of threads does work of the host that is cut into numbered jobs: decoding pictures,
 * converting weights, building pipelines. It knows nothing of what the jobs do. Where a thread
 * cannot be started, the thread that waits does the work.
 */
#ifndef VKCLIP_BASE_WORKERS_H
#define VKCLIP_BASE_WORKERS_H

#include "base/error.h"

struct workers;

/* Runs job number `index`. Jobs of a group that run at the same time have different values of
 * `thread`, all below workers_threads(), so that `thread` can select scratch memory. Returns 0, or
 * an error that error_fail has recorded. */
typedef int workers_job_fn(void *user, size_t index, unsigned thread);

struct turn;
struct workers_message;

struct progress;

/* A group is the jobs 0 to count - 1, which begin in this order. The caller sets the first five
 * members, and the group belongs to the pool from workers_start to the end of workers_wait. */
struct workers_group {
    workers_job_fn *job;
    void *user;
    size_t count;
    /* The call to which the jobs belong, which must not end before them; NULL: they belong to none.
     * `turn` tells that functions of the program which jobs call are called within it (turns.h). */
    struct progress *progress;
    struct turn *turn;

    size_t next;    /* job to begin next */
    size_t running; /* jobs begun and not ended */
    int error;      /* of the failed job with the lowest number; no later job begins */
    size_t failed;  /* that job's number */
    char error_message[ERROR_MESSAGE];
    struct workers_message *messages; /* what jobs logged, the last message first */
    struct workers_group *later;      /* the next group in the queue */
};

/* Opens a pool of `threads` threads in addition to the one that waits; 0 means one less than the
 * number of processors that this process may run on. The threads are started with the first group
 * of more than one job. */
int workers_open(unsigned threads, struct workers **workers);
/* Lowers the priority of the pool's threads, where the system has priorities of threads. It must be
 * called before the first group. */
void workers_set_background(struct workers *workers);
/* Closes the pool. No group may be running. */
void workers_close(struct workers **workers);
/* Returns the number of the pool's threads, including the one that waits. All functions accept NULL
 * for no pool, whose number of threads is 1. */
unsigned workers_threads(const struct workers *workers);

/* Queues a group's jobs, which other threads begin at once. Returns how many threads of the pool
 * are running. If it returns 0, the thread that waits does all the work. */
unsigned workers_start(struct workers *workers, struct workers_group *group);
/* Helps with the group's jobs until all are done, then passes on what they logged and returns the
 * error of the failed job with the lowest number, whose message becomes this thread's last
 * error. */
int workers_wait(struct workers *workers, struct workers_group *group);
/* Starts a group, whose jobs belong to the call that runs on this thread, and waits for it. A job
 * may run jobs of its own on the same pool. */
int workers_run(struct workers *workers, workers_job_fn *job, void *user, size_t count);

#endif
