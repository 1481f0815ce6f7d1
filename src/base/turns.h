/* SPDX-License-Identifier: MIT
 *
 * Lets one thread at a time use something, in the order in which the threads asked. A call that
 * would wait for itself can be told apart, because each thread knows for which calls it works; this
 * includes the library's threads, which work for the call that queued their jobs (workers.h).
 */
#ifndef VKCLIP_BASE_TURNS_H
#define VKCLIP_BASE_TURNS_H

#include <stdbool.h>
#include <stddef.h>

/* What threads take turns to use. */
struct turns;

/* The classes in whose order a call takes several turns, so that two calls never wait for each
 * other. */
enum turns_class { TURNS_DEVICE, TURNS_INDEX };

int turns_open(enum turns_class class, struct turns **turns);
/* Nobody may have a turn or wait for one. */
void turns_close(struct turns **turns);

#define TURN_MOST 3

/* A place in the queue of threads. Who has the first one has the turn. */
struct turn_place {
    struct turn_place *next;
    const void *handle; /* the first one of its turn */
    bool passes;        /* The call may run while another one gives way, see turn_give_way. */
    bool asks;          /* It asks the program, which may make it wait for others meanwhile. */
    bool joined;        /* turn_join has taken it. */
};

/* The turns that a call takes at once. It lies on the stack of the call's function. */
struct turn {
    struct turns *turns[TURN_MOST]; /* in the order in which they are taken */
    struct turn_place places[TURN_MOST];
    size_t count;
    size_t taken;                   /* how many of them the thread has */
    const void *handles[TURN_MOST]; /* whose call it is; the first one is what it may prepare */
    size_t handle_count;
    bool joined;          /* turn_join has taken the place in the first queue. */
    bool announced;       /* turn_announce was called. */
    bool stays;           /* The program cannot cancel the wait. */
    bool gives_way;       /* see turn_let_pass */
    bool pauses;          /* see turn_allow_pauses */
    double since;         /* when the thread got the turns, see clock_seconds */
    const char *function; /* the name of the call for messages */
    struct turn *outer;   /* of the call that has called this one's thread; NULL: none has */
};

/* Finds the call which the calling thread works for and which has a turn of these; NULL: there is
 * none, so that the thread may wait. */
const struct turn *turn_find(const struct turns *turns);
/* Takes a place in the first queue without waiting, for another thread that calls turn_take later,
 * so that calls which are made on other threads keep the order in which they were asked for. The
 * turn must not move. turn_quit gives the place back if there will be no such thread. */
void turn_join(struct turn *turn);
void turn_quit(struct turn *turn);
/* Says which turns the thread will take later, after it has done what needs none. Calls that it
 * makes until then are already calls within this one. */
void turn_announce(struct turn *turn);
/* Waits for all of turn->turns, which may have some of them twice. `turns`, `count` and `function`
 * are set. Fails with ECANCELLED if the program cancels the call meanwhile (progress.h). */
int turn_take(struct turn *turn);
/* Gives the turns back, on the same thread. Nothing happens if that was done before. */
void turn_leave(struct turn *turn);

/* Lets a call that has its turns give way to others from now on, unless it has no turn of a device,
 * or was called within a call that others may wait for. */
void turn_let_pass(struct turn *turn);
/* A call gives way with the first of its turns, and keeps the others. Tells whether the call which
 * the calling thread works for has a turn that others wait for, and has had it for a while. They
 * must need nothing else, so that they end without this call. */
bool turn_is_wanted(void);
/* If so, lets those go first, on the call's own thread, and waits to have the turn again. Turns
 * that were joined do not pass each other, which keeps their order. The calls must be such that
 * they leave alone what this one uses. Fails with ECANCELLED if the program cancels the call
 * meanwhile, or like progress_check; if it was the only turn of a call that does not stay, it is
 * then lost, and with it all that it protects. */
int turn_give_way(void);

/* The same in the midst of preparing a handle, such as loading its weights, so that calls which use
 * the same handle do not go first. The turn is never lost. */
/* Says whether the call which the calling thread works for may be interrupted so from now on, and
 * returns whether it might until now. */
bool turn_allow_pauses(bool allowed);
/* Tells whether it is to be interrupted, on any of its threads. */
bool turn_pause_is_wanted(void);
/* Lets the others go first, on the call's own thread, if that is wanted. Fails with ECANCELLED like
 * progress_check, which it includes. */
int turn_pause(void);

/* Returns the call which the calling thread works for and for which the owner of these turns waits,
 * because it has given way to it; NULL: there is none. */
const struct turn *turn_find_passing(struct turns *turns);

/* Returns the call which the calling thread works for; NULL: none. */
struct turn *turn_current(void);
/* Lets the calling thread work for another call, and returns the one before. */
struct turn *turn_adopt(struct turn *turn);

#endif
