/* SPDX-License-Identifier: MIT
 *
 * All groups wait in one queue under one lock, because jobs take far longer than what the lock
 * protects.
 */
#include "base/workers.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/thread.h"
#include "base/turns.h"

#include <string.h>

enum { MOST_THREADS = 63 };

struct workers_message {
    struct workers_message *earlier;
    size_t index; /* number of the job that logged it */
    enum vkclip_log_level level;
    char text[];
};

struct worker {
    struct workers *workers;
    struct thread thread;
    unsigned number;
};

struct workers {
    struct mutex lock;
    struct condition more;              /* there are jobs to begin, or the pool is closing */
    struct condition done;              /* a group's last job has ended */
    struct workers_group *first, *last; /* the queue of groups with jobs to begin */
    unsigned wanted, started;           /* threads */
    bool background;                    /* threads have a low priority */
    bool closing;
    struct worker threads[MOST_THREADS];
};

int workers_open(unsigned threads, struct workers **result)
{
    struct workers *workers = *result = memory_calloc(1, sizeof(*workers));
    if (!workers)
        return error_fail(VKCLIP_EMEMORY, "out of memory for threads");
    threads = threads ? threads : thread_processors() - 1;
    workers->wanted = threads < MOST_THREADS ? threads : MOST_THREADS;
    mutex_init(&workers->lock);
    condition_init(&workers->more);
    condition_init(&workers->done);
    return VKCLIP_OK;
}

void workers_set_background(struct workers *workers)
{
    if (workers)
        workers->background = true;
}

void workers_close(struct workers **handle)
{
    struct workers *workers = *handle;
    if (!workers)
        return;
    mutex_lock(&workers->lock);
    workers->closing = true;
    condition_tell(&workers->more);
    mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->started; i++)
        thread_join(&workers->threads[i].thread);
    condition_destroy(&workers->more);
    condition_destroy(&workers->done);
    mutex_destroy(&workers->lock);
    memory_free(workers);
    *handle = NULL;
}

unsigned workers_threads(const struct workers *workers)
{
    return workers ? workers->wanted + 1 : 1;
}

/* ---- Jobs ------------------------------------------------------------------------------------ */

/* This struct keeps a job's messages until workers_wait, so that the program's log function is
 * called on the program's thread. */
struct message_keeper {
    struct workers *workers;
    struct workers_group *group;
    size_t index;
};

static void lock_pool(struct workers *workers)
{
    if (workers)
        mutex_lock(&workers->lock);
}

static void unlock_pool(struct workers *workers)
{
    if (workers)
        mutex_unlock(&workers->lock);
}

static void keep_message(void *user, enum vkclip_log_level level, const char *text)
{
    const struct message_keeper *keeper = user;
    struct workers_message *message = memory_alloc(sizeof(*message) + strlen(text) + 1);
    if (!message)
        return;
    message->index = keeper->index;
    message->level = level;
    strcpy(message->text, text);
    lock_pool(keeper->workers);
    message->earlier = keeper->group->messages;
    keeper->group->messages = message;
    unlock_pool(keeper->workers);
}

static void enter_queue(struct workers *workers, struct workers_group *group)
{
    if (workers->last)
        workers->last->later = group;
    else
        workers->first = group;
    workers->last = group;
}

/* Removes a group that has no more jobs to begin from the queue, if the group is still in it. */
static void leave_queue(struct workers *workers, struct workers_group *group)
{
    struct workers_group *before = NULL;
    struct workers_group *queued = workers ? workers->first : NULL;
    while (queued && queued != group) {
        before = queued;
        queued = queued->later;
    }
    if (!queued)
        return;
    if (before)
        before->later = group->later;
    else
        workers->first = group->later;
    if (workers->last == group)
        workers->last = before;
}

/* Stops a group after a job failed: keeps the error of the failed job with the lowest number, and
 * lets no more jobs begin. */
static void stop_group(struct workers *workers, struct workers_group *group, size_t index,
                       int error)
{
    if (!group->error || index < group->failed) {
        group->error = error;
        group->failed = index;
        strcpy(group->error_message, error_last());
    }
    group->next = group->count;
    leave_queue(workers, group);
}

/* Runs the group's next job. The caller holds the lock, which is released while the job runs. */
static void do_job(struct workers *workers, struct workers_group *group, unsigned thread)
{
    struct message_keeper keeper = {workers, group, group->next++};
    group->running++;
    if (group->next >= group->count)
        leave_queue(workers, group);
    unlock_pool(workers);
    struct log_target before = log_redirect((struct log_target){keep_message, &keeper});
    struct turn *own = thread ? turn_adopt(group->turn) : NULL;
    struct progress *caller = thread ? progress_lend(group->progress) : NULL;
    int error = group->job(group->user, keeper.index, thread);
    if (thread) {
        progress_return(caller);
        turn_adopt(own);
    }
    log_redirect(before);
    lock_pool(workers);
    if (error)
        stop_group(workers, group, keeper.index, error);
    group->running--;
    if (workers && !group->running && group->next >= group->count)
        condition_tell(&workers->done);
}

static void run_thread(void *user)
{
    const struct worker *worker = user;
    struct workers *workers = worker->workers;
    if (workers->background)
        thread_lower_priority();
    mutex_lock(&workers->lock);
    while (!workers->closing)
        if (workers->first)
            do_job(workers, workers->first, worker->number);
        else
            condition_wait(&workers->more, &workers->lock);
    mutex_unlock(&workers->lock);
}

static void start_threads(struct workers *workers)
{
    while (workers->started < workers->wanted) {
        struct worker *worker = &workers->threads[workers->started];
        worker->workers = workers;
        worker->number = workers->started + 1;
        if (!thread_start(&worker->thread, run_thread, worker))
            break;
        workers->started++;
    }
}

unsigned workers_start(struct workers *workers, struct workers_group *group)
{
    *group = (struct workers_group){
        .job = group->job,
        .user = group->user,
        .count = group->count,
        .progress = group->progress,
        .turn = group->turn,
    };
    if (!workers || !group->count)
        return 0;
    mutex_lock(&workers->lock);
    if (group->count > 1 && workers->started < workers->wanted)
        start_threads(workers);
    enter_queue(workers, group);
    unsigned started = workers->started;
    condition_tell(&workers->more);
    mutex_unlock(&workers->lock);
    return started;
}

/* Removes the earliest message of the job with the lowest number from the list, which has the
 * latest message first. */
static struct workers_message *take_message(struct workers_group *group)
{
    struct workers_message **first = &group->messages;
    for (struct workers_message **link = first; *link; link = &(*link)->earlier)
        if ((*link)->index <= (*first)->index)
            first = link;
    struct workers_message *message = *first;
    *first = message->earlier;
    return message;
}

/* Passes on the group's messages in the order of the jobs' numbers, and within one job in the order
 * in which it logged them. */
static void pass_on_messages(struct workers_group *group)
{
    while (group->messages) {
        struct workers_message *message = take_message(group);
        log_message(message->level, "%s", message->text);
        memory_free(message);
    }
}

int workers_wait(struct workers *workers, struct workers_group *group)
{
    lock_pool(workers);
    while (group->next < group->count)
        do_job(workers, group, 0);
    while (group->running)
        condition_wait(&workers->done, &workers->lock);
    unlock_pool(workers);
    pass_on_messages(group);
    if (group->error)
        error_keep(group->error_message);
    return group->error;
}

int workers_run(struct workers *workers, workers_job_fn *job, void *user, size_t count)
{
    struct workers_group group = {
        .job = job,
        .user = user,
        .count = count,
        .progress = progress_current(),
        .turn = turn_current(),
    };
    workers_start(workers, &group);
    return workers_wait(workers, &group);
}
