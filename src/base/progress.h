/* SPDX-License-Identifier: MIT
 *
 * Lets a long call ask the program whether to go on. The call that runs on a thread is known to the
 * thread, as its last error is, so that whatever takes long can ask between two pieces of work
 * without being told by whom it was called. Jobs that the call hands to a pool of workers belong to
 * it, too. The program's function is called on the thread of the call alone; other threads only see
 * that the call was cancelled.
 */
#ifndef VKCLIP_BASE_PROGRESS_H
#define VKCLIP_BASE_PROGRESS_H

#include "vkclip.h"

#include <stdatomic.h>

/* A call. Calls within calls have `outer` ones, which are asked, too. */
struct progress {
    vkclip_progress_fn *ask; /* NULL: the program is not asked. */
    void *user;
    uint64_t done, total; /* what the program was told last */
    double asked;         /* when it was asked last */
    bool asking;          /* The program is being asked, and may make calls of its own meanwhile. */
    bool independent;     /* `ask` uses nothing of the call: it may be asked at any moment. */
    atomic_bool cancelled; /* Any thread may set this. */
    struct progress *outer;
};

/* Begins a call on this thread. */
void progress_begin(struct progress *progress, vkclip_progress_fn *ask, void *user, uint64_t total);
/* Ends the call that began last, tells the program that all is done unless there was an error, and
 * returns the error. */
int progress_end(struct progress *progress, int error);

/* Tells the program on the call's thread how much of it is done. Fails with ECANCELLED if the
 * program cancels the call, unless all is done, or if an outer call is cancelled. */
int progress_report(struct progress *progress, uint64_t done);
/* The same for the call that runs on this thread, if one does, with the total. It is for functions
 * that do all of a call's work. */
int progress_tell(uint64_t done, uint64_t total);
/* Asks the programs of this thread's calls whether to go on, unless they were asked a moment ago.
 * Fails with ECANCELLED if one cancels its call, and from then on until that call ends. */
int progress_check(void);
/* The same in the midst of something that `ask` must not enter again, such as a statement of a
 * database: only those that are independent are asked. */
int progress_check_within(void);
/* Tells whether a program has cancelled its call, without asking. */
bool progress_is_cancelled(void);
/* Tells whether there is a program to ask, so that a call which waits has to wake up for that. */
bool progress_asks(void);

/* Returns the call that runs on this thread; NULL: none does. */
struct progress *progress_current(void);
/* Makes a call that of this thread, which is not its own thread, and returns the one before. */
struct progress *progress_lend(struct progress *progress);
/* Takes that back. */
void progress_return(struct progress *before);

#endif
