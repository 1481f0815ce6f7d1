/* SPDX-License-Identifier: MIT
 *
 * A pool of threads for work of the host that is cut into numbered jobs: decoding pictures,
 * converting weights, building pipelines. Knows nothing of what the jobs do. POSIX threads; where a
 * thread cannot be started, the thread that waits does the work.
 */
#ifndef VKCLIP_BASE_WORKERS_H
#define VKCLIP_BASE_WORKERS_H

#include "base/error.h"

struct workers;

/* Job number `index`. `thread` is below workers_threads() and of no other job of the group that
 * runs at the same time: it can choose scratch memory. Returns 0 or an error by error_fail. */
typedef int workers_job_fn(void *user, size_t index, unsigned thread);

struct workers_message;

/* Jobs 0 .. count - 1, begun in this order. Filled with the first three; it belongs to the pool
 * from workers_start to the end of workers_wait. */
struct workers_group {
    workers_job_fn *job;
    void *user;
    size_t count;

    size_t next, running; /* job to begin next; jobs begun and not ended */
    int error;            /* of the first job, by number, that failed; no later one is begun */
    size_t failed;
    char error_message[ERROR_MESSAGE];
    struct workers_message *messages; /* for the log, last one first */
    struct workers_group *later;
};

/* `threads` beside the one that waits; 0: one less than this process may run on. They are started
 * with the first group of more than one job. */
int workers_open(unsigned threads, struct workers **workers);
/* No group may be under way. */
void workers_close(struct workers **workers);
/* Those of the pool and the one that waits; 1 for no pool (NULL), which all functions accept. */
unsigned workers_threads(const struct workers *workers);

void workers_start(struct workers *workers, struct workers_group *group);
/* Helps with the group's jobs until all are done, then passes on what they logged and returns the
 * error of the first that failed, with its message as this thread's last error. */
int workers_wait(struct workers *workers, struct workers_group *group);
/* Both. A job may run jobs of its own on the same pool. */
int workers_run(struct workers *workers, workers_job_fn *job, void *user, size_t count);

#endif
