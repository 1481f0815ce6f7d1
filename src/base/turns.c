/* SPDX-License-Identifier: MIT
 *
 * Threads stand in a queue, because a mutex alone would let a thread with many calls starve the
 * others.
 */
#include "base/turns.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/thread.h"

#include <stdint.h>

struct turns {
    enum turns_class class;
    struct mutex lock; /* protects the queue */
    struct condition changed;
    struct turn_place *first; /* who has the turn; NULL: nobody */
};

static _Thread_local const struct turn *current;

int turns_open(enum turns_class class, struct turns **result)
{
    struct turns *turns = *result = memory_calloc(1, sizeof(*turns));
    if (!turns)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a lock");
    turns->class = class;
    mutex_init(&turns->lock);
    condition_init(&turns->changed);
    return VKCLIP_OK;
}

void turns_close(struct turns **handle)
{
    struct turns *turns = *handle;
    if (!turns)
        return;
    condition_destroy(&turns->changed);
    mutex_destroy(&turns->lock);
    memory_free(turns);
    *handle = NULL;
}

static void leave_queue(struct turns *turns, struct turn_place *place)
{
    struct turn_place **link = &turns->first;
    while (*link != place)
        link = &(*link)->next;
    *link = place->next;
    condition_tell(&turns->changed);
}

static void join_queue(struct turns *turns, struct turn_place *place)
{
    place->next = NULL;
    mutex_lock(&turns->lock);
    struct turn_place **link = &turns->first;
    while (*link)
        link = &(*link)->next;
    *link = place;
    mutex_unlock(&turns->lock);
}

/* Waits in the queue, and leaves it where the program cancels a call that does not stay. */
static int wait_for(struct turns *turns, struct turn_place *place, bool stays)
{
    int error = VKCLIP_OK;
    mutex_lock(&turns->lock);
    while (turns->first != place && !error) {
        condition_wait_for(&turns->changed, &turns->lock, CLOCK_MOMENT);
        mutex_unlock(&turns->lock);
        error = stays ? VKCLIP_OK : progress_check();
        mutex_lock(&turns->lock);
    }
    if (error)
        leave_queue(turns, place);
    mutex_unlock(&turns->lock);
    return error;
}

static void give_back(struct turns *turns, struct turn_place *place)
{
    mutex_lock(&turns->lock);
    leave_queue(turns, place);
    mutex_unlock(&turns->lock);
}

/* ---- Turns of a call ------------------------------------------------------------------------- */

const struct turn *turn_find(const struct turns *turns)
{
    for (const struct turn *turn = current; turn; turn = turn->outer)
        for (size_t i = 0; i < turn->count; i++)
            if (turn->turns[i] == turns)
                return turn;
    return NULL;
}

static bool comes_before(const struct turns *a, const struct turns *b)
{
    return a->class != b->class ? a->class < b->class : (uintptr_t)a < (uintptr_t)b;
}

/* Puts the turns in the order that all calls share, each once. */
static void sort(struct turn *turn)
{
    size_t count = 0;
    for (size_t i = 0; i < turn->count; i++) {
        struct turns *turns = turn->turns[i];
        size_t place = count;
        while (place && comes_before(turns, turn->turns[place - 1]))
            place--;
        if (place && turn->turns[place - 1] == turns)
            continue;
        for (size_t j = count++; j > place; j--)
            turn->turns[j] = turn->turns[j - 1];
        turn->turns[place] = turns;
    }
    turn->count = count;
}

void turn_join(struct turn *turn)
{
    sort(turn);
    join_queue(turn->turns[0], &turn->places[0]);
    turn->joined = true;
}

void turn_quit(struct turn *turn)
{
    give_back(turn->turns[0], &turn->places[0]);
    turn->joined = false;
}

/* The call is current while it waits, because what the program does meanwhile on this thread would
 * wait behind it. */
int turn_take(struct turn *turn)
{
    int error = VKCLIP_OK;
    size_t taken = 0;
    if (!turn->joined)
        sort(turn);
    turn->outer = current;
    current = turn;
    while (taken < turn->count && !error) {
        if (taken || !turn->joined)
            join_queue(turn->turns[taken], &turn->places[taken]);
        error = wait_for(turn->turns[taken], &turn->places[taken], turn->stays);
        taken += !error;
    }
    if (!error)
        return VKCLIP_OK;
    turn->count = taken;
    turn_leave(turn);
    return error;
}

void turn_leave(struct turn *turn)
{
    if (current != turn)
        return;
    current = turn->outer;
    while (turn->count) {
        turn->count--;
        give_back(turn->turns[turn->count], &turn->places[turn->count]);
    }
}

const struct turn *turn_current(void)
{
    return current;
}

const struct turn *turn_adopt(const struct turn *turn)
{
    const struct turn *before = current;
    current = turn;
    return before;
}
