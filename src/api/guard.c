/* SPDX-License-Identifier: MIT
 *
 * What a forked child has of its parent's handles is a copy of memory without the threads that
 * complete it: locks that nobody will unlock, and a driver that waits for threads which do not
 * exist. Therefore the number of the process is compared before anything else.
 */
#include "api/guard.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/progress.h"
#include "base/thread.h"

#include <stdatomic.h>
#include <string.h>

/* What the handles on one device share. */
struct sharing {
    struct turns *turns;
    long process;                 /* which opened the handles */
    struct vkclip_device *device; /* is closed with the last handle on it; NULL: there is none */
    bool closed;       /* The program has closed the device. Only who has the turn may use this. */
    struct mutex lock; /* protects what follows, and the visitors of all handles */
    struct condition left; /* a visitor has left */
    unsigned handles;
};

struct guard {
    struct sharing *sharing;
    const char *name;
    unsigned visitors; /* calls under way */
    /* That of a device which the handle uses besides. It stays until the handle is closed, because
     * another thread may be about to wait for it. */
    struct guard *_Atomic device;
    struct guard *next; /* of the device that was attached before, or that was abandoned before */
    const void *handle; /* that was abandoned */
};

/* ---- Opening --------------------------------------------------------------------------------- */

static int open_sharing(enum turns_class class, struct sharing **result)
{
    struct sharing *sharing = *result = memory_calloc(1, sizeof(*sharing));
    if (!sharing)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a handle");
    sharing->process = process_number();
    mutex_init(&sharing->lock);
    condition_init(&sharing->left);
    return turns_open(class, &sharing->turns);
}

static void close_sharing(struct sharing *sharing)
{
    if (sharing->device)
        device_close(&sharing->device);
    turns_close(&sharing->turns);
    condition_destroy(&sharing->left);
    mutex_destroy(&sharing->lock);
    memory_free(sharing);
}

int guard_open(const char *name, enum turns_class class, const struct vkclip_device *device,
               struct guard **result)
{
    struct guard *guard = *result = memory_calloc(1, sizeof(*guard));
    int error = guard ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for a handle");
    if (!error && device)
        guard->sharing = device->guard->sharing;
    else if (!error)
        error = open_sharing(class, &guard->sharing);
    if (error) {
        if (guard && guard->sharing)
            close_sharing(guard->sharing);
        memory_free(guard);
        *result = NULL;
        return error;
    }
    guard->name = name;
    mutex_lock(&guard->sharing->lock);
    guard->sharing->handles++;
    mutex_unlock(&guard->sharing->lock);
    return VKCLIP_OK;
}

int guard_open_device(struct vkclip_device **device, int error)
{
    if (error)
        return error;
    error = guard_open((*device)->infos[0]->name, TURNS_DEVICE, NULL, &(*device)->guard);
    if (error)
        device_close(device);
    else
        (*device)->guard->sharing->device = *device;
    return error;
}

int guard_open_model(struct vkclip_model **model, int error)
{
    if (error)
        return error;
    error = guard_open(model_name(*model), TURNS_DEVICE, (*model)->device, &(*model)->guard);
    if (error)
        model_close(model);
    return error;
}

int guard_open_conditioner(struct vkclip_device *device, struct vkclip_conditioner **handle,
                           int error)
{
    if (error)
        return error;
    struct vkclip_conditioner *conditioner = *handle;
    error = guard_open(conditioner->family->name, TURNS_DEVICE, device, &conditioner->guard);
    for (size_t i = 0; !error && i < conditioner->encoder_count; i++)
        if (conditioner->encoders[i].model)
            conditioner->encoders[i].model->guard = conditioner->guard;
    if (error)
        conditioner_close(handle);
    return error;
}

int guard_attach_device(struct guard *guard, const struct vkclip_device *device)
{
    struct guard *attached = guard->device, *added;
    if (attached && attached->sharing == device->guard->sharing)
        return VKCLIP_OK;
    int error = guard_open(guard->name, TURNS_DEVICE, device, &added);
    if (error)
        return error;
    added->next = attached;
    guard->device = added;
    return VKCLIP_OK;
}

void guard_drop(struct guard *guard)
{
    if (!guard)
        return;
    struct sharing *sharing = guard->sharing;
    for (struct guard *device = guard->device, *next; device; device = next) {
        next = device->next;
        guard_drop(device);
    }
    mutex_lock(&sharing->lock);
    const bool last = !--sharing->handles;
    mutex_unlock(&sharing->lock);
    memory_free(guard);
    if (last)
        close_sharing(sharing);
}

/* ---- Calls that use the device --------------------------------------------------------------- */

bool guard_is_inherited(const struct guard *guard)
{
    return guard->sharing->process != process_number();
}

int guard_check(const char *function, const struct guard *guard)
{
    if (!guard || !guard_is_inherited(guard))
        return VKCLIP_OK;
    return error_fail(VKCLIP_EINVALID,
                      "%s: %s was opened by process %ld, from which this process was forked: open "
                      "it in this process",
                      function, guard->name, guard->sharing->process);
}

/* Refuses a call that would wait for the one that has called it. It is not logged, because the
 * program's log function may be what makes it. */
int guard_check_turns(const char *function, const struct turns *turns)
{
    const struct turn *outer = turn_find(turns);
    char message[ERROR_MESSAGE];
    if (!outer)
        return VKCLIP_OK;
    snprintf(message, sizeof(message),
             "%s: was called by a function that %s calls, which uses the same device or index: "
             "expected it after %s has returned",
             function, outer->function, outer->function);
    error_keep(message);
    return VKCLIP_EINVALID;
}

static int check_nesting(const char *function, const struct guard *guard)
{
    const int error = guard_check_turns(function, guard->sharing->turns);
    const struct turn *outer = error ? NULL : turn_find_passing(guard->sharing->turns);
    char message[ERROR_MESSAGE];
    if (!outer)
        return error;
    snprintf(message, sizeof(message),
             "%s: was called by a function that %s calls, which runs while the call that uses %s "
             "has given way to it: expected it after %s has returned",
             function, outer->function, guard->name, outer->function);
    error_keep(message);
    return VKCLIP_EINVALID;
}

/* The handles of a call, and the devices that are attached to them. */
struct handles {
    const struct guard *guards[TURN_MOST];
    size_t count;
};

static int add_handle(struct handles *handles, const char *function, const struct guard *guard)
{
    int error = guard_check(function, guard);
    if (!error && guard)
        error = check_nesting(function, guard);
    if (!error && guard)
        handles->guards[handles->count++] = guard;
    return error;
}

/* Who has the turn knows whether the program has closed the device. */
static int check_open(struct turn *turn, const struct guard *guard)
{
    if (!guard->sharing->closed)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EINVALID, "%s: %s: its device was closed", turn->function,
                      guard->name);
}

/* The counter is of the guard, whose handle may be const for the function that is called. */
static void count_visitor(const struct guard *guard, bool enters)
{
    struct sharing *sharing = guard->sharing;
    struct guard *counted = (struct guard *)guard;
    mutex_lock(&sharing->lock);
    if (enters)
        counted->visitors++;
    else if (!--counted->visitors)
        condition_tell(&sharing->left);
    mutex_unlock(&sharing->lock);
}

/* The handles have a visitor until guard_leave. */
static void visit_handles(struct turn *turn, const struct handles *handles)
{
    turn->handle_count = handles->count;
    for (size_t i = 0; i < handles->count; i++) {
        turn->handles[i] = handles->guards[i];
        count_visitor(handles->guards[i], true);
    }
}

static void end_visits(struct turn *turn)
{
    while (turn->handle_count)
        count_visitor(turn->handles[--turn->handle_count], false);
}

static void describe_turn(struct turn *turn, const char *function, const struct handles *handles)
{
    *turn = (struct turn){.function = function, .count = handles->count};
    for (size_t i = 0; i < handles->count; i++)
        turn->turns[i] = handles->guards[i]->sharing->turns;
    visit_handles(turn, handles);
}

static int take_turn(struct turn *turn, const char *function, const struct handles *handles)
{
    describe_turn(turn, function, handles);
    int error = turn_take(turn);
    for (size_t i = 0; i < handles->count && !error; i++)
        error = check_open(turn, handles->guards[i]);
    return error ? guard_leave(turn, error) : VKCLIP_OK;
}

int guard_enter(struct turn *turn, const char *function, const struct guard *guard)
{
    struct handles handles = {0};
    const int error = add_handle(&handles, function, guard);
    return error ? error : take_turn(turn, function, &handles);
}

int guard_enter_long(struct turn *turn, const char *function, const struct guard *guard)
{
    const int error = guard_enter(turn, function, guard);
    if (error)
        return error;
    turn->stays = true;
    turn_let_pass(turn);
    return VKCLIP_OK;
}

static struct guard *find_attached(const struct guard *guard)
{
    return guard ? guard->device : NULL;
}

/* Another thread may attach a device while this one waits, so that it has to wait for that. */
int guard_enter_both(struct turn *turn, const char *function, const struct guard *first,
                     const struct guard *second)
{
    for (;;) {
        struct handles handles = {0};
        const struct guard *attached = find_attached(second);
        int error = add_handle(&handles, function, first);
        if (!error)
            error = add_handle(&handles, function, second);
        if (!error)
            error = add_handle(&handles, function, attached);
        if (!error)
            error = take_turn(turn, function, &handles);
        if (error)
            return error;
        if (find_attached(second) == attached) {
            turn_let_pass(turn);
            return VKCLIP_OK;
        }
        guard_leave(turn, VKCLIP_OK);
    }
}

int guard_enter_encoding(struct turn *turn, const char *function, const struct vkclip_model *model,
                         const struct vkclip_encode_params *params, size_t count)
{
    struct progress waiting;
    progress_begin(&waiting, params->progress, params->user, count);
    const int error = guard_enter(turn, function, model ? model->guard : NULL);
    progress_end(&waiting, VKCLIP_ECANCELLED); /* The program is not told that all is done. */
    if (!error)
        turn_let_pass(turn);
    return error;
}

int guard_join(struct turn *turn, const char *function, const struct guard *guard)
{
    const int error = guard_check(function, guard);
    if (error)
        return error;
    const struct handles handles = {{guard}, 1};
    describe_turn(turn, function, &handles);
    turn_join(turn);
    return VKCLIP_OK;
}

void guard_quit(struct turn *turn)
{
    turn_quit(turn);
    end_visits(turn);
}

int guard_enter_joined(struct turn *turn, const struct guard *guard,
                       const struct vkclip_encode_params *params, size_t count)
{
    struct progress waiting;
    progress_begin(&waiting, params->progress, params->user, count);
    int error = turn_take(turn);
    if (!error)
        error = check_open(turn, guard);
    if (error)
        guard_leave(turn, error);
    turn->gives_way = !error;
    progress_end(&waiting, VKCLIP_ECANCELLED); /* The program is not told that all is done. */
    return error;
}

int guard_leave(struct turn *turn, int error)
{
    turn_leave(turn);
    end_visits(turn);
    return error;
}

/* ---- Calls that use what never changes, or do so at first ------------------------------------ */

int guard_visit(const char *function, const struct guard *guard)
{
    const int error = guard_check(function, guard);
    if (!error && guard)
        count_visitor(guard, true);
    return error;
}

int guard_end_visit(const struct guard *guard, int error)
{
    if (guard)
        count_visitor(guard, false);
    return error;
}

int guard_begin_opening(struct turn *turn, const char *function, const struct vkclip_device *device)
{
    struct handles handles = {0};
    const int error = add_handle(&handles, function, device ? device->guard : NULL);
    if (error)
        return error;
    describe_turn(turn, function, &handles);
    turn_announce(turn);
    return VKCLIP_OK;
}

int guard_enter_announced(struct turn *turn, const struct vkclip_device *device)
{
    const int error = turn_take(turn);
    return error || !device ? error : check_open(turn, device->guard);
}

/* ---- Closing --------------------------------------------------------------------------------- */

/* Keeps in sight what a forked child has closed: another process releases it. */
static void abandon(struct guard *guard, const void *handle)
{
    static struct guard *_Atomic abandoned;
    guard->handle = handle;
    guard->next = atomic_load(&abandoned);
    while (!atomic_compare_exchange_weak(&abandoned, &guard->next, guard))
        ;
}

/* Marks a device as closed whose handles may still be open. */
static void close_to_calls(struct sharing *sharing, const char *function, const char *name)
{
    mutex_lock(&sharing->lock);
    const unsigned others = sharing->handles - 1;
    mutex_unlock(&sharing->lock);
    sharing->closed = true;
    if (others)
        log_message(VKCLIP_LOG_ERROR,
                    "%s: %s: %u of its models, conditioners, trainers and uploaded indexes are "
                    "still open: it keeps its memory until they are closed",
                    function, name, others);
}

/* Says that a handle stays open, unless the program's log function is what would close it. */
static void tell_keeping(void)
{
    static _Thread_local bool telling;
    if (telling)
        return;
    telling = true;
    log_message(VKCLIP_LOG_ERROR, "%s", error_last());
    telling = false;
}

/* Waits for the calls on the handle, before it waits for a turn, in which it passes those on other
 * handles that give way. */
static void wait_for_visitors(const struct guard *guard)
{
    struct sharing *sharing = guard->sharing;
    mutex_lock(&sharing->lock);
    while (guard->visitors)
        condition_wait(&sharing->left, &sharing->lock);
    mutex_unlock(&sharing->lock);
}

/* Waits until no call uses the handle and the device that is attached to it. Returns false if one
 * of those calls has called this function. */
static bool wait_for_calls(struct turn *turn, const char *function, const struct guard *guard)
{
    for (;;) {
        const struct guard *attached = find_attached(guard);
        *turn = (struct turn){
            .turns = {guard->sharing->turns}, .count = 1, .stays = true, .function = function};
        if (check_nesting(function, guard) || (attached && check_nesting(function, attached)))
            return false;
        wait_for_visitors(guard);
        if (attached)
            turn->turns[turn->count++] = attached->sharing->turns;
        turn_take(turn);
        if (find_attached(guard) == attached)
            return true;
        turn_leave(turn);
    }
}

bool guard_begin_close(struct turn *turn, const char *function, struct guard *guard, void *handle)
{
    struct sharing *sharing = guard->sharing;
    const void *closed, *none = NULL;
    memcpy(&closed, handle, sizeof(closed));
    if (guard_is_inherited(guard)) {
        abandon(guard, closed);
        memcpy(handle, &none, sizeof(none));
        return false;
    }
    if (!wait_for_calls(turn, function, guard)) {
        tell_keeping();
        return false;
    }
    if (sharing->device && closed == sharing->device)
        close_to_calls(sharing, function, guard->name);
    return true;
}

void guard_end_close(struct turn *turn, struct guard *guard)
{
    turn_leave(turn);
    guard_drop(guard);
}
