/* SPDX-License-Identifier: MIT
 *
 * Stands at the door of the library: lets the calls that use a device take turns, keeps a device in
 * memory until all handles on it are closed, and lets a handle be closed when no call uses it. All
 * functions of the library that take a handle enter here. Refuses calls within calls on the same
 * device, handles whose device was closed, and handles of the process that this one was forked
 * from.
 */
#ifndef VKCLIP_API_GUARD_H
#define VKCLIP_API_GUARD_H

#include "base/turns.h"
#include "encode/conditioner.h"
#include "encode/device.h"
#include "encode/model.h"

struct guard;

/* Lets a new handle be guarded. A handle on a device shares its turns with all others on it; any
 * other handle has its own, which are of a `class`. `name` stands for the handle in messages and
 * lives as long as the handle. */
int guard_open(const char *name, enum turns_class class, const struct vkclip_device *device,
               struct guard **guard);
/* The same for a new device, which is closed when no handle on it is left. If that fails, the
 * device is closed at once. Passes on an `error` of opening the device. */
int guard_open_device(struct vkclip_device **device, int error);
/* The same for a new model on its device, and for a new conditioner. */
int guard_open_model(struct vkclip_model **model, int error);
int guard_open_conditioner(struct vkclip_device *device, struct vkclip_conditioner **conditioner,
                           int error);
/* Lets a handle use a device besides, such as an index whose vectors a device has; this lasts until
 * the handle is closed, or until another device takes its place. The call has the turns of both. */
int guard_attach_device(struct guard *guard, const struct vkclip_device *device);
/* Ends the guarding of a handle that was never given to the program. */
void guard_drop(struct guard *guard);

/* Begins a call, named `function`, that uses the device of a handle: waits for its turn. A handle
 * that is NULL is let in, because functions check their arguments later. */
int guard_enter(struct turn *turn, const char *function, const struct guard *guard);
/* The same for a call that takes long, and gives way to others between its pieces of work (see
 * turn_let_pass). It keeps its turn although the program cancels it, because it still has to free
 * what it has on the device. */
int guard_enter_long(struct turn *turn, const char *function, const struct guard *guard);
/* The same for a call that encodes, which params->progress can cancel while it waits. It gives way
 * between its batches. */
int guard_enter_encoding(struct turn *turn, const char *function, const struct vkclip_model *model,
                         const struct vkclip_encode_params *params, size_t count);
/* The same for a call that uses two handles, of which one may be NULL, with the devices that were
 * attached to them. It may give way, and keeps the turns that are not those of its first device. */
int guard_enter_both(struct turn *turn, const char *function, const struct guard *first,
                     const struct guard *second);
/* Begins a call that opens something on a device, which may be NULL, and first does what needs no
 * turn, such as reading files. The device is not closed before guard_leave. guard_enter_announced
 * waits for the turn. */
int guard_begin_opening(struct turn *turn, const char *function,
                        const struct vkclip_device *device);
int guard_enter_announced(struct turn *turn, const struct vkclip_device *device);
/* Takes a place in the queue for a call that another thread will make, with guard_enter_joined.
 * guard_quit gives it back. */
int guard_join(struct turn *turn, const char *function, const struct guard *guard);
void guard_quit(struct turn *turn);
/* The same as guard_enter_encoding where guard_join has taken the place. */
int guard_enter_joined(struct turn *turn, const struct guard *guard,
                       const struct vkclip_encode_params *params, size_t count);
/* Ends a call, unless that was done before, and returns its error. The handle may be closed from
 * then on. */
int guard_leave(struct turn *turn, int error);

/* Begins a call that uses only what never changes of a handle, and waits for nothing. The handle is
 * not closed before guard_end_visit, which returns the error of the call. */
int guard_visit(const char *function, const struct guard *guard);
int guard_end_visit(const struct guard *guard, int error);
/* Refuses a function that would wait for the call which has called it, because that one has a turn
 * of these. */
int guard_check_turns(const char *function, const struct turns *turns);
/* Tells whether a handle belongs to the process that this one was forked from. */
bool guard_is_inherited(const struct guard *guard);
/* Checks a handle for a call that ends at once. */
int guard_check(const char *function, const struct guard *guard);

/* Waits until no call uses a handle. `handle` points to the program's pointer, of whatever type.
 * Returns true where the caller has to close it, and then to call guard_end_close. Returns false
 * where a call that uses it has called this function, and where it belongs to the parent of this
 * process: then it is only forgotten, and the program's pointer is set to NULL. */
bool guard_begin_close(struct turn *turn, const char *function, struct guard *guard, void *handle);
/* `guard` is freed, and its device if it was closed and this was the last handle on it. */
void guard_end_close(struct turn *turn, struct guard *guard);

#endif
