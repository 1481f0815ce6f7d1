/* SPDX-License-Identifier: MIT
 *
 * The pool of threads: every job runs once, and no two jobs have the same thread number at a time;
 * the error of the first job by number is the one reported, whichever thread it happened on; what
 * jobs log comes in the order of the jobs, on the caller's thread.
 */
#define _GNU_SOURCE
#include "base/error.h"
#include "base/log.h"
#include "support/testing.h"

#include <stdatomic.h>
#ifdef __linux__
#include <pthread.h>
#include <sys/resource.h>
#endif

#include "base/clock.h"
#include "base/thread.h"
#include "base/workers.h"

enum { JOBS = 500, MOST = 8 };

struct counts {
    atomic_int runs[JOBS]; /* how often each job ran */
    atomic_int busy[MOST]; /* running jobs per thread number */
    atomic_int callers_done;
    struct workers *workers;
    size_t first_failing; /* jobs from this number on fail */
};

static int count_job(void *user, size_t index, unsigned thread)
{
    struct counts *counts = user;
    assert_true(thread < MOST && thread < workers_threads(counts->workers));
    assert_int_equal(atomic_fetch_add(&counts->busy[thread], 1), 0);
    atomic_fetch_add(&counts->runs[index], 1);
    log_message(VKCLIP_LOG_INFO, "%zu first", index);
    log_message(VKCLIP_LOG_INFO, "%zu second", index);
    if (index % 50 == 0)
        clock_sleep(0.001);
    atomic_fetch_sub(&counts->busy[thread], 1);
    return index >= counts->first_failing ? error_fail(VKCLIP_EIO, "job %zu", index) : VKCLIP_OK;
}

/* Its address tells the threads apart. */
static _Thread_local char own;

static struct {
    const char *thread;
    size_t lines, errors;
} logged;

static void log_in_order(void *user, enum vkclip_log_level level, const char *message)
{
    (void)user;
    assert_ptr_equal(logged.thread, &own);
    if (level == VKCLIP_LOG_ERROR) {
        logged.errors++;
        return;
    }
    char expected[64];
    snprintf(expected, sizeof(expected), "%zu %s", logged.lines / 2,
             logged.lines % 2 ? "second" : "first");
    assert_string_equal(message, expected);
    logged.lines++;
}

static void every_job_once(void **state)
{
    (void)state;
    for (unsigned threads = 0; threads < MOST; threads++) { /* 0 means no pool. */
        struct counts counts = {.first_failing = JOBS};
        if (threads)
            assert_int_equal(workers_open(threads, &counts.workers), 0);
        assert_int_equal(workers_threads(counts.workers), threads + 1);
        logged.thread = &own;
        logged.lines = 0;
        vkclip_set_log(log_in_order, NULL);
        for (int again = 1; again <= 3; again++) {
            logged.lines = 0;
            assert_int_equal(workers_run(counts.workers, count_job, &counts, JOBS), 0);
            assert_int_equal(logged.lines, 2 * JOBS);
            for (int i = 0; i < JOBS; i++)
                assert_int_equal(counts.runs[i], again);
        }
        assert_int_equal(workers_run(counts.workers, count_job, &counts, 0), 0);
        vkclip_set_log(NULL, NULL);
        workers_close(&counts.workers);
    }
}

static void first_error_counts(void **state)
{
    (void)state;
    for (size_t fail = 0; fail < JOBS; fail += 61) {
        struct counts counts = {.first_failing = fail};
        assert_int_equal(workers_open(3, &counts.workers), 0);
        logged.thread = &own;
        logged.lines = logged.errors = 0;
        vkclip_set_log(log_in_order, NULL);
        assert_int_equal(workers_run(counts.workers, count_job, &counts, JOBS), VKCLIP_EIO);
        vkclip_set_log(NULL, NULL);
        char expected[32];
        snprintf(expected, sizeof(expected), "job %zu", fail);
        assert_string_equal(vkclip_last_error(), expected);
        assert_true(logged.errors >= 1 && logged.errors <= 4);
        /* Jobs before the failing one always run. Of those after it, only the three jobs that the
         * other threads had begun may run. */
        for (size_t i = 0; i <= fail; i++)
            assert_int_equal(counts.runs[i], 1);
        for (size_t i = fail + 4; i < JOBS; i++)
            assert_int_equal(counts.runs[i], 0);
        workers_close(&counts.workers);
    }
}

/* Runs jobs of the same pool from inside a job, which two callers do at once. */
static int nested_job(void *user, size_t index, unsigned thread)
{
    struct counts *counts = user;
    (void)thread;
    struct counts inner = {.workers = counts->workers, .first_failing = JOBS};
    atomic_fetch_add(&counts->runs[index], 1);
    return workers_run(counts->workers, count_job, &inner, 20);
}

static void call_nested(void *user)
{
    struct counts *counts = user, mine = {.workers = counts->workers};
    assert_int_equal(workers_run(counts->workers, nested_job, &mine, 40), 0);
    for (int i = 0; i < 40; i++)
        assert_int_equal(mine.runs[i], 1);
    atomic_fetch_add(&counts->callers_done, 1);
}

static void nested_and_shared(void **state)
{
    (void)state;
    struct counts counts = {0};
    struct thread other;
    assert_int_equal(workers_open(3, &counts.workers), 0);
    assert_true(thread_start(&other, call_nested, &counts));
    call_nested(&counts);
    thread_join(&other);
    assert_int_equal(counts.callers_done, 2);
    workers_close(&counts.workers);
    workers_close(&counts.workers);
    assert_int_equal(workers_open(0, &counts.workers), 0); /* 0 asks for a thread per processor. */
    assert_true(workers_threads(counts.workers) >= 1);
    workers_close(&counts.workers);
}

#ifdef __linux__
/* Waits until all threads of the pool have a job, and notes the priority of each. */
struct niced {
    pthread_barrier_t all;
    int nice[4];
};

static int note_priority(void *user, size_t index, unsigned thread)
{
    struct niced *niced = user;
    (void)index;
    pthread_barrier_wait(&niced->all);
    niced->nice[thread] = getpriority(PRIO_PROCESS, 0);
    return VKCLIP_OK;
}

/* Threads of a pool in the background give way to others, and the one that waits keeps its
 * priority. */
static void background_threads(void **state)
{
    const int before = getpriority(PRIO_PROCESS, 0);
    (void)state;
    for (int background = 0; background < 2; background++) {
        struct workers *workers;
        struct niced niced = {.nice = {0}};
        pthread_barrier_init(&niced.all, NULL, 4);
        assert_int_equal(workers_open(3, &workers), 0);
        if (background)
            workers_set_background(workers);
        assert_int_equal(workers_run(workers, note_priority, &niced, 4), 0);
        assert_int_equal(niced.nice[0], before);
        for (int i = 1; i < 4; i++)
            assert_int_equal(niced.nice[i], !background ? before : before < 9 ? before + 10 : 19);
        workers_close(&workers);
        pthread_barrier_destroy(&niced.all);
    }
    assert_int_equal(getpriority(PRIO_PROCESS, 0), before);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_once),
        cmocka_unit_test(first_error_counts),
        cmocka_unit_test(nested_and_shared),
#ifdef __linux__
        cmocka_unit_test(background_threads),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
