/* SPDX-License-Identifier: MIT */
#include "server/gate.h"
#include "base/clock.h"
#include "base/thread.h"

#include <stdlib.h>

/* A request that waits. It lies on the stack of its thread, and only the first one is woken. */
struct place {
    struct place *later;
    struct condition is_first;
};

struct gate {
    struct mutex lock; /* protects all that follows */
    size_t most, used;
    struct place *first;
};

int gate_open(size_t most, struct gate **result)
{
    struct gate *gate = *result = calloc(1, sizeof(*gate));
    if (!gate)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the server");
    gate->most = most;
    mutex_init(&gate->lock);
    return VKCLIP_OK;
}

void gate_close(struct gate **handle)
{
    struct gate *gate = *handle;
    if (!gate)
        return;
    mutex_destroy(&gate->lock);
    free(gate);
    *handle = NULL;
}

static bool has_room(const struct gate *gate, size_t amount)
{
    return !gate->used || (gate->used < gate->most && amount <= gate->most - gate->used);
}

static struct place **find_link(struct gate *gate, const struct place *place)
{
    struct place **link = &gate->first;
    while (*link != place)
        link = &(*link)->later;
    return link;
}

static void wake_first(struct gate *gate)
{
    if (gate->first)
        condition_tell(&gate->first->is_first);
}

int gate_enter(struct gate *gate, struct request *request, size_t amount)
{
    struct place place = {.later = NULL};
    bool over = false;
    condition_init(&place.is_first);
    mutex_lock(&gate->lock);
    *find_link(gate, NULL) = &place;
    while (!over && (gate->first != &place || !has_room(gate, amount))) {
        condition_wait_for(&place.is_first, &gate->lock, CLOCK_MOMENT);
        over = request_is_over(request, 0, 0);
    }
    if (!over)
        gate->used += amount;
    *find_link(gate, &place) = place.later;
    wake_first(gate);
    mutex_unlock(&gate->lock);
    condition_destroy(&place.is_first);
    if (over)
        return error_fail(VKCLIP_ECANCELLED,
                          "the server is busy: the time for the request is over");
    return VKCLIP_OK;
}

void gate_leave(struct gate *gate, size_t amount)
{
    mutex_lock(&gate->lock);
    gate->used -= amount;
    wake_first(gate);
    mutex_unlock(&gate->lock);
}
