/* SPDX-License-Identifier: MIT */
#include "api/index_call.h"

void index_ask(struct index_call *call, const struct vkclip_index *index)
{
    progress_begin(&call->progress, index->progress, index->user, 1);
    call->progress.independent = true;
}

/* A call that ends soon asks once all the same. */
static int begin(struct index_call *call, int error)
{
    if (error)
        return progress_end(&call->progress, error);
    error = progress_check();
    return error ? index_leave(call, error) : VKCLIP_OK;
}

int index_enter(struct index_call *call, const char *function, const struct vkclip_index *index)
{
    index_ask(call, index);
    return begin(call, guard_enter(&call->turn, function, index->guard));
}

int index_enter_both(struct index_call *call, const char *function, const struct guard *other,
                     const struct vkclip_index *index)
{
    index_ask(call, index);
    return begin(call, guard_enter_both(&call->turn, function, other, index->guard));
}

int index_leave(struct index_call *call, int error)
{
    return progress_end(&call->progress, guard_leave(&call->turn, error));
}
