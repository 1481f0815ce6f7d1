/* SPDX-License-Identifier: MIT
 *
 * What is open: a device, a model or an index, as an external value of JavaScript. The garbage
 * collector, or the end of the environment, closes what is still open then, in any order.
 */
#ifndef HANDLE_H
#define HANDLE_H

#include "call.h"

enum handle_kind { HANDLE_DEVICE, HANDLE_MODEL, HANDLE_INDEX };

struct handle {
    enum handle_kind kind;
    struct vkclip_device *device;
    struct vkclip_model *model;
    struct vkclip_index *index;
    struct vkclip_model_info info; /* of the model */
};

/* Sets call->opened to a handle of this kind that is closed. NULL is a failure of the call. */
struct handle *handle_new(struct call *call, enum handle_kind kind);
/* Gives call->opened to JavaScript. */
napi_value handle_give(struct call *call);
/* Finds the handle that an argument is. NULL is a failure of the call. */
struct handle *handle_get(struct call *call, napi_value value, enum handle_kind kind);
void handle_close(struct handle *handle);

#endif
