/* SPDX-License-Identifier: MIT
 *
 * Threads and what they wait for: POSIX threads, or those of Windows. Structs are initialised in
 * place and must not be moved while they are used.
 */
#ifndef VKCLIP_BASE_THREAD_H
#define VKCLIP_BASE_THREAD_H

#include <stdbool.h>

#ifdef _WIN32
/* These stand for SRWLOCK, CONDITION_VARIABLE and INIT_ONCE, whose header defines many short names.
 * All zeros is their initial value. */
struct mutex {
    void *lock;
};
struct condition {
    void *variable;
};
struct once {
    void *state;
};
#define MUTEX_INIT \
    {              \
        0          \
    }
#define ONCE_INIT \
    {             \
        0         \
    }
#else
#include <pthread.h>
struct mutex {
    pthread_mutex_t lock;
};
struct condition {
    pthread_cond_t variable;
};
struct once {
    pthread_once_t state;
};
#define MUTEX_INIT                \
    {                             \
        PTHREAD_MUTEX_INITIALIZER \
    }
#define ONCE_INIT         \
    {                     \
        PTHREAD_ONCE_INIT \
    }
#endif

/* The thread that has the lock must not take it again. */
void mutex_init(struct mutex *mutex);
void mutex_destroy(struct mutex *mutex);
void mutex_lock(struct mutex *mutex);
void mutex_unlock(struct mutex *mutex);

void condition_init(struct condition *condition);
void condition_destroy(struct condition *condition);
/* Waits with the lock until the condition is told, or for no reason, so that the caller looks again
 * at what it waits for. */
void condition_wait(struct condition *condition, struct mutex *mutex);
/* The same, but not longer than some seconds. */
void condition_wait_for(struct condition *condition, struct mutex *mutex, double seconds);
/* Wakes all threads that wait. */
void condition_tell(struct condition *condition);

/* Runs the function once in the process; other threads wait until it has ended. */
void once_run(struct once *once, void (*run)(void));

struct thread {
    void (*run)(void *user);
    void *user;
#ifdef _WIN32
    void *handle;
#else
    pthread_t handle;
#endif
};

/* Starts a thread. False where the system has no more. Signals are not handled on it, because the
 * program does not know it. Its stack has 8 MiB also where that is not the system's default. */
bool thread_start(struct thread *thread, void (*run)(void *user), void *user);
/* Waits for the thread's end. */
void thread_join(struct thread *thread);
/* Lowers the priority of the calling thread, where threads have priorities of their own. */
void thread_lower_priority(void);
/* Counts the processors that this process may run on. */
unsigned thread_processors(void);

#endif
