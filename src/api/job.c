/* SPDX-License-Identifier: MIT
 *
 * A job has two turns. That of its own guard lasts as long as its thread, so that closing the job
 * waits for the thread and is refused within the job's functions, as it is with all handles. That
 * of the model's device is asked for when the job is started, which keeps the order of jobs.
 */
#include "api/job.h"
#include "api/guard.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/string.h"
#include "base/thread.h"

#include <math.h>

struct vkclip_job {
    struct job_work work;
    struct vkclip_features features; /* work.params.features points to it, if there are any */
    struct guard *guard;             /* of the job itself */
    struct turn own, device;         /* of the thread */
    struct thread thread;
    struct mutex lock; /* protects what follows */
    struct condition changed;
    /* The job waits for a turn of these or has it; NULL: it does not any more. They are only
     * compared, because the device may be closed meanwhile. */
    const struct turns *awaited;
    struct progress *progress; /* of the call, while it runs */
    bool cancelled, ended;
    int error;
    char *message; /* of the error */
};

/* ---- The job's thread ------------------------------------------------------------------------ */

/* Lets vkclip_cancel_job reach the call, also if that came first. NULL ends this. The lock also
 * makes the thread wait until its id is known, for whoever closes the job. */
static void show_progress(struct vkclip_job *job, struct progress *progress)
{
    mutex_lock(&job->lock);
    job->progress = progress;
    if (progress && job->cancelled)
        progress->cancelled = true;
    mutex_unlock(&job->lock);
}

/* Who waits for the job from now on waits for nothing that needs the device. */
static void leave_device(struct vkclip_job *job)
{
    mutex_lock(&job->lock);
    job->awaited = NULL;
    mutex_unlock(&job->lock);
    guard_leave(&job->device, VKCLIP_OK);
}

static int run(struct vkclip_job *job)
{
    const struct job_work *work = &job->work;
    struct progress progress;
    progress_begin(&progress, NULL, NULL, 0);
    show_progress(job, &progress);
    int error = guard_enter_joined(&job->device, work->model->guard, &work->params, work->count);
    if (!error)
        error = progress_check();
    if (!error)
        error = work->run(work);
    show_progress(job, NULL);
    leave_device(job);
    return progress_end(&progress, error);
}

static void run_thread(void *user)
{
    struct vkclip_job *job = user;
    turn_take(&job->own);
    const int error = run(job);
    char *message = error ? string_format("%s", error_last()) : NULL;
    if (job->work.params.done)
        job->work.params.done(job->work.params.user, error,
                              message ? message
                              : error ? error_text(error)
                                      : "");
    mutex_lock(&job->lock);
    job->error = error;
    job->message = message;
    job->ended = true;
    condition_tell(&job->changed);
    mutex_unlock(&job->lock);
    guard_leave(&job->own, VKCLIP_OK);
}

/* ---- Starting -------------------------------------------------------------------------------- */

static void free_job(struct vkclip_job *job)
{
    condition_destroy(&job->changed);
    mutex_destroy(&job->lock);
    memory_free(job->message);
    memory_free(job);
}

static int open_job(const struct job_work *work, struct vkclip_job **result)
{
    struct vkclip_job *job = *result = memory_calloc(1, sizeof(*job));
    if (!job)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a job");
    mutex_init(&job->lock);
    condition_init(&job->changed);
    job->work = *work;
    if (work->params.features) {
        job->features = *work->params.features;
        job->work.params.features = &job->features;
    }
    return guard_open("a job", TURNS_INDEX, NULL, &job->guard);
}

/* The handle is given before the thread starts, because the caller's functions may use it. */
static int start_thread(struct vkclip_job *job)
{
    struct vkclip_job **given = job->work.params.job;
    const char *function = job->work.function;
    int error = guard_join(&job->device, function, job->work.model->guard);
    if (error)
        return error;
    job->awaited = job->device.turns[0];
    guard_join(&job->own, function, job->guard);
    *given = job;
    mutex_lock(&job->lock);
    const bool started = thread_start(&job->thread, run_thread, job);
    mutex_unlock(&job->lock);
    if (started)
        return VKCLIP_OK;
    *given = NULL;
    guard_quit(&job->own);
    guard_quit(&job->device);
    return error_fail(VKCLIP_EMEMORY, "%s: the thread of a job cannot be started", function);
}

static int start(const struct job_work *work)
{
    struct vkclip_job *job;
    *work->params.job = NULL;
    if (!work->model)
        return error_fail(VKCLIP_EINVALID, "%s: model expected", work->function);
    int error = open_job(work, &job);
    if (!error)
        error = start_thread(job);
    if (error && job) {
        guard_drop(job->guard);
        free_job(job);
    }
    return error;
}

int job_do(const struct job_work *work)
{
    struct turn turn;
    if (work->params.job)
        return start(work);
    if (work->params.done)
        return error_fail(VKCLIP_EINVALID, "%s: `done` is set: expected `job`, too",
                          work->function);
    const int error =
        guard_enter_encoding(&turn, work->function, work->model, &work->params, work->count);
    return error ? error : guard_leave(&turn, work->run(work));
}

int job_refuse(const char *function, const struct vkclip_encode_params *params)
{
    if (!params->job && !params->done)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EINVALID, "%s: `job` or `done` is set: this function has no jobs",
                      function);
}

/* ---- Waiting and cancelling ------------------------------------------------------------------ */

/* No wait is longer than this many seconds at once, so that a time can be written for it. */
#define LONGEST_WAIT 3600.0

/* Waits with the job's lock. */
static void wait_until_ended(struct vkclip_job *job, double seconds)
{
    const double end = clock_seconds() + seconds;
    while (!job->ended) {
        const double left = seconds < 0 ? LONGEST_WAIT : end - clock_seconds();
        if (left <= 0)
            return;
        condition_wait_for(&job->changed, &job->lock, left < LONGEST_WAIT ? left : LONGEST_WAIT);
    }
}

/* Refuses to wait where the job, or what it waits for, waits for this thread. */
static int check_waiting(const char *function, struct vkclip_job *job)
{
    int error = guard_check_turns(function, job->own.turns[0]);
    if (!error && job->awaited)
        error = guard_check_turns(function, job->awaited);
    return error;
}

static int wait_for(const char *function, struct vkclip_job *job, double seconds, bool *ended)
{
    int error = VKCLIP_OK;
    mutex_lock(&job->lock);
    if (!job->ended && seconds != 0)
        error = check_waiting(function, job);
    if (!error)
        wait_until_ended(job, seconds);
    if (ended)
        *ended = job->ended;
    if (job->ended && job->error) {
        error = job->error;
        error_keep(job->message ? job->message : error_text(error));
    }
    mutex_unlock(&job->lock);
    return error;
}

int vkclip_wait_job(const struct vkclip_job *job, double seconds, bool *ended)
{
    if (ended)
        *ended = false;
    if (!job || isnan(seconds))
        return error_fail(VKCLIP_EINVALID, "vkclip_wait_job: job and a number of seconds expected");
    const int error = guard_visit(__func__, job->guard);
    if (error)
        return error;
    /* What changes of a job while others look at it is under its lock. */
    return guard_end_visit(job->guard,
                           wait_for(__func__, (struct vkclip_job *)job, seconds, ended));
}

static void cancel(struct vkclip_job *job)
{
    mutex_lock(&job->lock);
    job->cancelled = true;
    if (job->progress)
        job->progress->cancelled = true;
    mutex_unlock(&job->lock);
}

int vkclip_cancel_job(struct vkclip_job *job)
{
    if (!job)
        return error_fail(VKCLIP_EINVALID, "vkclip_cancel_job: job expected");
    const int error = guard_visit(__func__, job->guard);
    if (error)
        return error;
    cancel(job);
    return guard_end_visit(job->guard, VKCLIP_OK);
}

void vkclip_close_job(struct vkclip_job **handle)
{
    struct turn turn;
    if (!handle || !*handle)
        return;
    struct vkclip_job *job = *handle;
    /* In a forked child the lock may be held by a thread that does not exist there. A function of
     * the job itself closes nothing, and so it does not cancel either. */
    if (!guard_is_inherited(job->guard) && !turn_find(job->own.turns[0]))
        cancel(job);
    if (!guard_begin_close(&turn, __func__, job->guard, handle))
        return;
    *handle = NULL;
    thread_join(&job->thread);
    guard_end_close(&turn, job->guard);
    free_job(job);
}
