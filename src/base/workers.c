/* SPDX-License-Identifier: MIT
 *
 * One queue of groups under one lock: jobs are far longer than what the lock protects.
 */
#define _GNU_SOURCE
#include "base/workers.h"
#include "base/error.h"
#include "base/log.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#endif

enum { MOST_THREADS = 63 };

struct workers_message {
    struct workers_message *earlier;
    size_t index; /* of the job */
    enum vkclip_log_level level;
    char text[];
};

struct thread {
    struct workers *workers;
    pthread_t id;
    unsigned number;
};

struct workers {
    pthread_mutex_t lock;
    pthread_cond_t more, done; /* jobs to begin, or `closing`; a group's last job has ended */
    struct workers_group *first, *last; /* with jobs to begin */
    unsigned wanted, started;
    bool closing;
    struct thread threads[MOST_THREADS];
};

static unsigned processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
#ifdef __linux__
    cpu_set_t set; /* of a process that is held to some of them */
    if (!sched_getaffinity(0, sizeof(set), &set))
        count = CPU_COUNT(&set);
#endif
    return count > 1 ? (unsigned)count : 1;
}

int workers_open(unsigned threads, struct workers **result)
{
    struct workers *workers = *result = calloc(1, sizeof(*workers));
    if (!workers)
        return error_fail(VKCLIP_EMEMORY, "out of memory for threads");
    threads = threads ? threads : processors() - 1;
    workers->wanted = threads < MOST_THREADS ? threads : MOST_THREADS;
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->more, NULL);
    pthread_cond_init(&workers->done, NULL);
    return VKCLIP_OK;
}

void workers_close(struct workers **handle)
{
    struct workers *workers = *handle;
    if (!workers)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->closing = true;
    pthread_cond_broadcast(&workers->more);
    pthread_mutex_unlock(&workers->lock);
    for (unsigned i = 0; i < workers->started; i++)
        pthread_join(workers->threads[i].id, NULL);
    pthread_cond_destroy(&workers->more);
    pthread_cond_destroy(&workers->done);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
    *handle = NULL;
}

unsigned workers_threads(const struct workers *workers)
{
    return workers ? workers->wanted + 1 : 1;
}

/* ---- Jobs ------------------------------------------------------------------------------------ */

/* What a job logs is kept, so that the caller's log function is called on the caller's thread. */
struct keeper {
    struct workers *workers;
    struct workers_group *group;
    size_t index;
};

static void lock(struct workers *workers)
{
    if (workers)
        pthread_mutex_lock(&workers->lock);
}

static void unlock(struct workers *workers)
{
    if (workers)
        pthread_mutex_unlock(&workers->lock);
}

static void keep_message(void *user, enum vkclip_log_level level, const char *text)
{
    const struct keeper *keeper = user;
    struct workers_message *message = malloc(sizeof(*message) + strlen(text) + 1);
    if (!message)
        return;
    message->index = keeper->index;
    message->level = level;
    strcpy(message->text, text);
    lock(keeper->workers);
    message->earlier = keeper->group->messages;
    keeper->group->messages = message;
    unlock(keeper->workers);
}

/* Takes a group without jobs to begin out of the queue. */
static void leave_queue(struct workers *workers, struct workers_group *group)
{
    struct workers_group *before = NULL, *at = workers ? workers->first : NULL;
    while (at && at != group) {
        before = at;
        at = at->later;
    }
    if (!at)
        return;
    *(before ? &before->later : &workers->first) = group->later;
    if (workers->last == group)
        workers->last = before;
}

/* Begins the group's next job and ends it. Called and left with the lock held. */
static void do_job(struct workers *workers, struct workers_group *group, unsigned thread)
{
    struct keeper keeper = {workers, group, group->next++};
    group->running++;
    if (group->next >= group->count)
        leave_queue(workers, group);
    unlock(workers);
    struct log_target before = log_redirect((struct log_target){keep_message, &keeper});
    int error = group->job(group->user, keeper.index, thread);
    log_redirect(before);
    lock(workers);
    if (error && (!group->error || keeper.index < group->failed)) {
        group->error = error;
        group->failed = keeper.index;
        strcpy(group->error_message, vkclip_last_error());
    }
    if (error) {
        group->next = group->count;
        leave_queue(workers, group);
    }
    if (!--group->running && group->next >= group->count && workers)
        pthread_cond_broadcast(&workers->done);
}

static void *work(void *argument)
{
    const struct thread *thread = argument;
    struct workers *workers = thread->workers;
    pthread_mutex_lock(&workers->lock);
    while (!workers->closing)
        if (workers->first)
            do_job(workers, workers->first, thread->number);
        else
            pthread_cond_wait(&workers->more, &workers->lock);
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

/* With the program's signals blocked, so that none is handled on a thread that it does not know. */
static void start_threads(struct workers *workers)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (workers->started < workers->wanted) {
        struct thread *thread = &workers->threads[workers->started];
        *thread = (struct thread){.workers = workers, .number = workers->started + 1};
        if (pthread_create(&thread->id, NULL, work, thread))
            break;
        workers->started++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

void workers_start(struct workers *workers, struct workers_group *group)
{
    *group = (struct workers_group){.job = group->job, .user = group->user, .count = group->count};
    if (!workers || !group->count)
        return;
    pthread_mutex_lock(&workers->lock);
    if (group->count > 1 && workers->started < workers->wanted)
        start_threads(workers);
    *(workers->last ? &workers->last->later : &workers->first) = group;
    workers->last = group;
    pthread_cond_broadcast(&workers->more);
    pthread_mutex_unlock(&workers->lock);
}

/* In the order of the jobs; those of one job in its own. */
static void pass_on_messages(struct workers_group *group)
{
    while (group->messages) {
        struct workers_message **first = &group->messages, *message;
        for (struct workers_message **at = first; *at; at = &(*at)->earlier)
            if ((*at)->index <= (*first)->index)
                first = at;
        message = *first;
        *first = message->earlier;
        log_message(message->level, "%s", message->text);
        free(message);
    }
}

int workers_wait(struct workers *workers, struct workers_group *group)
{
    lock(workers);
    while (group->next < group->count)
        do_job(workers, group, 0);
    while (group->running)
        pthread_cond_wait(&workers->done, &workers->lock);
    unlock(workers);
    pass_on_messages(group);
    if (group->error)
        error_keep(group->error_message);
    return group->error;
}

int workers_run(struct workers *workers, workers_job_fn *job, void *user, size_t count)
{
    struct workers_group group = {.job = job, .user = user, .count = count};
    workers_start(workers, &group);
    return workers_wait(workers, &group);
}
