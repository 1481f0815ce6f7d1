/* SPDX-License-Identifier: MIT
 *
 * What a call on an index begins and ends with: its turn, and the function of the handle's params,
 * which can cancel it.
 */
#ifndef VKCLIP_API_INDEX_CALL_H
#define VKCLIP_API_INDEX_CALL_H

#include "api/guard.h"
#include "base/progress.h"
#include "search/index.h"

struct index_call {
    struct progress progress;
    struct turn turn;
};

/* Lets the handle's function be asked from now on. A call that has a function of its own begins
 * with this, takes its turn by guard_enter_both, and ends the progress itself. */
void index_ask(struct index_call *call, const struct vkclip_index *index);
/* Begins a call named `function`. After an error it has ended. */
int index_enter(struct index_call *call, const char *function, const struct vkclip_index *index);
/* Begins a call that uses another handle, too, which may be NULL. */
int index_enter_both(struct index_call *call, const char *function, const struct guard *other,
                     const struct vkclip_index *index);
/* Ends a call, and returns its error. */
int index_leave(struct index_call *call, int error);

#endif
