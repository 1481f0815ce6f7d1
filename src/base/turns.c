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

/* Seconds for which a call has its turn at least before it gives way: whatever waits can wait for
 * that long, and a change of calls, for which the device becomes idle, takes little of it. */
#define LEAST_TURN CLOCK_MOMENT

static _Thread_local struct turn *current;

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

/* Says of the places of a turn which others they may pass. */
static void mark_places(struct turn *turn)
{
    for (size_t i = 0; i < turn->count; i++)
        turn->places[i] =
            (struct turn_place){.passes = turn->count == 1 && !turn->stays, .joined = turn->joined};
}

void turn_join(struct turn *turn)
{
    sort(turn);
    turn->joined = true;
    mark_places(turn);
    join_queue(turn->turns[0], &turn->places[0]);
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
    if (!turn->joined) {
        sort(turn);
        mark_places(turn);
    }
    turn->outer = current;
    current = turn;
    while (taken < turn->count && !error) {
        if (taken || !turn->joined)
            join_queue(turn->turns[taken], &turn->places[taken]);
        error = wait_for(turn->turns[taken], &turn->places[taken], turn->stays);
        taken += !error;
    }
    turn->since = clock_seconds();
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

/* ---- Giving way ------------------------------------------------------------------------------ */

static bool may_pass(const struct turn_place *place, const struct turn_place *passed)
{
    return place->passes && !(place->joined && passed->joined);
}

bool turn_is_wanted(void)
{
    if (!current || !current->gives_way || clock_seconds() - current->since < LEAST_TURN)
        return false;
    struct turns *turns = current->turns[0];
    const struct turn_place *own = &current->places[0];
    bool wanted = false;
    mutex_lock(&turns->lock);
    for (const struct turn_place *place = own->next; place && !wanted; place = place->next)
        wanted = may_pass(place, own);
    mutex_unlock(&turns->lock);
    return wanted;
}

/* Moves the places that may pass the first one before it. All others keep their order. */
static void let_pass(struct turns *turns, struct turn_place *own)
{
    struct turn_place **end = &turns->first, **link = &own->next;
    while (*link) {
        struct turn_place *place = *link;
        if (!may_pass(place, own)) {
            link = &place->next;
            continue;
        }
        *link = place->next;
        *end = place;
        end = &place->next;
    }
    *end = own;
}

int turn_give_way(void)
{
    struct turn *turn = current;
    mutex_lock(&turn->turns[0]->lock);
    let_pass(turn->turns[0], &turn->places[0]);
    condition_tell(&turn->turns[0]->changed);
    mutex_unlock(&turn->turns[0]->lock);
    const int error = wait_for(turn->turns[0], &turn->places[0], false);
    if (error)
        turn->count = 0;
    turn->since = clock_seconds();
    return error;
}

struct turn *turn_current(void)
{
    return current;
}

struct turn *turn_adopt(struct turn *turn)
{
    struct turn *before = current;
    current = turn;
    return before;
}
