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
    const struct turn *aside; /* that of the owner, while it gives way; NULL: it does not */
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

/* Waits in the queue, and leaves it where the program cancels a call that does not stay. One that
 * stays asks the program, too, which then need not wait until it is asked. */
static int wait_for(struct turns *turns, struct turn_place *place, bool stays)
{
    int error = VKCLIP_OK;
    mutex_lock(&turns->lock);
    while (turns->first != place && !error) {
        condition_wait_for(&turns->changed, &turns->lock, CLOCK_MOMENT);
        if (turns->first == place)
            break;
        place->asks = progress_asks();
        mutex_unlock(&turns->lock);
        const int asked = progress_check();
        error = stays ? VKCLIP_OK : asked;
        mutex_lock(&turns->lock);
        place->asks = false;
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
        turn->places[i] = (struct turn_place){
            .handle = turn->handles[0], .passes = turn->count == 1, .joined = turn->joined};
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

void turn_announce(struct turn *turn)
{
    if (!turn->joined) {
        sort(turn);
        mark_places(turn);
    }
    turn->outer = current;
    turn->announced = true;
    current = turn;
}

/* The call is current while it waits, because what the program does meanwhile on this thread would
 * wait behind it. */
int turn_take(struct turn *turn)
{
    int error = VKCLIP_OK;
    if (!turn->announced)
        turn_announce(turn);
    while (turn->taken < turn->count && !error) {
        const size_t next = turn->taken;
        if (next || !turn->joined)
            join_queue(turn->turns[next], &turn->places[next]);
        error = wait_for(turn->turns[next], &turn->places[next], turn->stays);
        turn->taken += !error;
    }
    turn->since = clock_seconds();
    if (error)
        turn_leave(turn);
    return error;
}

void turn_leave(struct turn *turn)
{
    if (current != turn)
        return;
    current = turn->outer;
    while (turn->taken) {
        turn->taken--;
        give_back(turn->turns[turn->taken], &turn->places[turn->taken]);
    }
}

/* ---- Giving way ------------------------------------------------------------------------------ */

/* `pausing` tells whether the passed call is in the midst of preparing its handle. */
static bool may_pass(const struct turn_place *place, const struct turn_place *passed, bool pausing)
{
    return place->passes && !place->asks && !(place->joined && passed->joined) &&
           !(pausing && place->handle == passed->handle);
}

static bool is_wanted(bool pausing)
{
    if (!current || !current->gives_way || clock_seconds() - current->since < LEAST_TURN)
        return false;
    struct turns *turns = current->turns[0];
    const struct turn_place *own = &current->places[0];
    bool wanted = false;
    mutex_lock(&turns->lock);
    for (const struct turn_place *place = own->next; place && !wanted; place = place->next)
        wanted = may_pass(place, own, pausing);
    mutex_unlock(&turns->lock);
    return wanted;
}

void turn_let_pass(struct turn *turn)
{
    const bool has_device = turn->count && turn->turns[0]->class == TURNS_DEVICE;
    turn->gives_way = has_device && !turn->outer;
}

bool turn_is_wanted(void)
{
    return is_wanted(false);
}

/* Moves the places that may pass the first one before it. All others keep their order. */
static void let_pass(struct turns *turns, struct turn_place *own, bool pausing)
{
    struct turn_place **end = &turns->first, **link = &own->next;
    while (*link) {
        struct turn_place *place = *link;
        if (!may_pass(place, own, pausing)) {
            link = &place->next;
            continue;
        }
        *link = place->next;
        *end = place;
        end = &place->next;
    }
    *end = own;
}

/* Lets others see, in the turns that the current call keeps, whether it gives way. */
static void show_aside(const struct turn *aside)
{
    for (size_t i = 1; i < current->count; i++) {
        struct turns *kept = current->turns[i];
        mutex_lock(&kept->lock);
        kept->aside = aside;
        mutex_unlock(&kept->lock);
    }
}

/* The call has all else that it needs, so that it may pass others from now on. */
static int step_aside(bool pausing, bool stays)
{
    struct turns *turns = current->turns[0];
    struct turn_place *own = &current->places[0];
    show_aside(current);
    mutex_lock(&turns->lock);
    own->passes = true;
    let_pass(turns, own, pausing);
    condition_tell(&turns->changed);
    mutex_unlock(&turns->lock);
    const int error = wait_for(turns, own, stays);
    show_aside(NULL);
    current->since = clock_seconds();
    return error;
}

int turn_give_way(void)
{
    if (!turn_is_wanted())
        return progress_check();
    if (current->stays || current->count > 1) {
        step_aside(false, true);
        return progress_check();
    }
    const int error = step_aside(false, false);
    if (error)
        current->taken = current->count = 0;
    return error;
}

bool turn_allow_pauses(bool allowed)
{
    const bool before = current && current->pauses;
    if (current && before != allowed) /* Threads of several devices only read this. */
        current->pauses = allowed;
    return before;
}

bool turn_pause_is_wanted(void)
{
    return current && current->pauses && is_wanted(true);
}

int turn_pause(void)
{
    if (turn_pause_is_wanted())
        step_aside(true, true);
    return progress_check();
}

/* Returns the call on this thread whose place this is. */
static const struct turn *find_owner(const struct turn_place *place)
{
    for (const struct turn *turn = current; turn; turn = turn->outer)
        for (size_t i = 0; i < turn->count; i++)
            if (place == &turn->places[i])
                return turn;
    return NULL;
}

/* The turns that the owner waits for exist as long as a call of this thread uses them. */
const struct turn *turn_find_passing(struct turns *turns)
{
    mutex_lock(&turns->lock);
    struct turns *awaited = turns->aside ? turns->aside->turns[0] : NULL;
    const struct turn_place *aside = turns->aside ? &turns->aside->places[0] : NULL;
    mutex_unlock(&turns->lock);
    const struct turn *found = NULL;
    if (!awaited || !turn_find(awaited))
        return NULL;
    mutex_lock(&awaited->lock);
    for (const struct turn_place *place = awaited->first; place && place != aside && !found;
         place = place->next)
        found = find_owner(place);
    mutex_unlock(&awaited->lock);
    return found;
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
