/* SPDX-License-Identifier: MIT
 *
 * Each function has one version per system.
 */
#define _GNU_SOURCE
#include "base/thread.h"

#include <stddef.h>

#ifdef _WIN32
#include <windows.h>
#include <process.h>
#else
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sched.h>
#include <sys/syscall.h>
#endif
#endif

#define STACK_BYTES ((size_t)8 << 20)

#ifdef _WIN32
_Static_assert(sizeof(struct mutex) == sizeof(SRWLOCK), "a mutex is an SRWLOCK");
_Static_assert(sizeof(struct condition) == sizeof(CONDITION_VARIABLE),
               "a condition is a CONDITION_VARIABLE");
_Static_assert(sizeof(struct once) == sizeof(INIT_ONCE), "a once is an INIT_ONCE");

void mutex_init(struct mutex *mutex)
{
    InitializeSRWLock((SRWLOCK *)mutex);
}

void mutex_destroy(struct mutex *mutex)
{
    (void)mutex;
}

void mutex_lock(struct mutex *mutex)
{
    AcquireSRWLockExclusive((SRWLOCK *)mutex);
}

void mutex_unlock(struct mutex *mutex)
{
    ReleaseSRWLockExclusive((SRWLOCK *)mutex);
}

void condition_init(struct condition *condition)
{
    InitializeConditionVariable((CONDITION_VARIABLE *)condition);
}

void condition_destroy(struct condition *condition)
{
    (void)condition;
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
    SleepConditionVariableSRW((CONDITION_VARIABLE *)condition, (SRWLOCK *)mutex, INFINITE, 0);
}

void condition_wait_for(struct condition *condition, struct mutex *mutex, double seconds)
{
    /* A part of a millisecond counts as a whole one, so that short waits do wait. */
    const DWORD milliseconds = (DWORD)(seconds * 1000) + 1;
    SleepConditionVariableSRW((CONDITION_VARIABLE *)condition, (SRWLOCK *)mutex, milliseconds, 0);
}

void condition_tell(struct condition *condition)
{
    WakeAllConditionVariable((CONDITION_VARIABLE *)condition);
}

void once_run(struct once *once, void (*run)(void))
{
    BOOL first = FALSE;
    if (InitOnceBeginInitialize((INIT_ONCE *)once, 0, &first, NULL) && first) {
        run();
        InitOnceComplete((INIT_ONCE *)once, 0, NULL);
    }
}

static unsigned __stdcall run_thread(void *argument)
{
    const struct thread *thread = argument;
    thread->run(thread->user);
    return 0;
}

bool thread_start(struct thread *thread, void (*run)(void *user), void *user)
{
    *thread = (struct thread){.run = run, .user = user};
    thread->handle = (HANDLE)_beginthreadex(NULL, (unsigned)STACK_BYTES, run_thread, thread,
                                            STACK_SIZE_PARAM_IS_A_RESERVATION, NULL);
    return thread->handle != NULL;
}

void thread_join(struct thread *thread)
{
    WaitForSingleObject(thread->handle, INFINITE);
    CloseHandle(thread->handle);
}

void thread_lower_priority(void)
{
    SetThreadPriority(GetCurrentThread(), THREAD_PRIORITY_LOWEST);
}

/* A machine with more than 64 processors has groups of them, and a process runs on one. */
unsigned thread_processors(void)
{
    DWORD_PTR process, system;
    unsigned count = 0;
    if (GetProcessAffinityMask(GetCurrentProcess(), &process, &system))
        for (; process; process &= process - 1)
            count++;
    return count ? count : 1;
}
#else
/* Half of the way to the lowest priority: the system still gives such a thread a tenth of what it
 * gives to others that want the same processor. */
enum { BACKGROUND_NICE = 10 };

void mutex_init(struct mutex *mutex)
{
    pthread_mutex_init(&mutex->lock, NULL);
}

void mutex_destroy(struct mutex *mutex)
{
    pthread_mutex_destroy(&mutex->lock);
}

void mutex_lock(struct mutex *mutex)
{
    pthread_mutex_lock(&mutex->lock);
}

void mutex_unlock(struct mutex *mutex)
{
    pthread_mutex_unlock(&mutex->lock);
}

void condition_init(struct condition *condition)
{
    pthread_cond_init(&condition->variable, NULL);
}

void condition_destroy(struct condition *condition)
{
    pthread_cond_destroy(&condition->variable);
}

void condition_wait(struct condition *condition, struct mutex *mutex)
{
    pthread_cond_wait(&condition->variable, &mutex->lock);
}

void condition_wait_for(struct condition *condition, struct mutex *mutex, double seconds)
{
    struct timespec end;
    const double whole = floor(seconds);
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += (time_t)whole;
    end.tv_nsec += (long)((seconds - whole) * 1e9);
    end.tv_sec += end.tv_nsec / 1000000000;
    end.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&condition->variable, &mutex->lock, &end);
}

void condition_tell(struct condition *condition)
{
    pthread_cond_broadcast(&condition->variable);
}

void once_run(struct once *once, void (*run)(void))
{
    pthread_once(&once->state, run);
}

static void *run_thread(void *argument)
{
    const struct thread *thread = argument;
    thread->run(thread->user);
    return NULL;
}

/* The thread is started with signals blocked, which it inherits. */
bool thread_start(struct thread *thread, void (*run)(void *user), void *user)
{
    sigset_t all, before;
    pthread_attr_t attributes;
    size_t stack = 0;
    thread->run = run;
    thread->user = user;
    if (pthread_attr_init(&attributes))
        return false;
    if (!pthread_attr_getstacksize(&attributes, &stack) && stack < STACK_BYTES)
        pthread_attr_setstacksize(&attributes, STACK_BYTES);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool started = !pthread_create(&thread->handle, &attributes, run_thread, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return started;
}

void thread_join(struct thread *thread)
{
    pthread_join(thread->handle, NULL);
}

void thread_lower_priority(void)
{
#ifdef __linux__
    const int now = getpriority(PRIO_PROCESS, 0);
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), now + BACKGROUND_NICE);
#endif
}

unsigned thread_processors(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
#ifdef __linux__
    cpu_set_t set; /* Linux can restrict a process to some of the processors. */
    if (!sched_getaffinity(0, sizeof(set), &set))
        count = CPU_COUNT(&set);
#endif
    return count > 1 ? (unsigned)count : 1;
}
#endif
