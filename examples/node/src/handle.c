/* SPDX-License-Identifier: MIT */
#include "handle.h"

#include <stdlib.h>

static const char *const kinds[] = {"device", "model", "index"};

struct handle *handle_new(struct call *call, enum handle_kind kind)
{
    struct handle *handle = call->opened = calloc(1, sizeof(*handle));
    if (!handle) {
        call_refuse_memory(call);
        return NULL;
    }
    handle->kind = kind;
    handle->info.size = sizeof(handle->info);
    return handle;
}

void handle_close(struct handle *handle)
{
    vkclip_close_device(&handle->device);
    vkclip_close_model(&handle->model);
    vkclip_close_index(&handle->index);
}

static void finalize(napi_env env, void *data, void *hint)
{
    (void)env;
    (void)hint;
    handle_close(data);
    free(data);
}

napi_value handle_give(struct call *call)
{
    napi_value value = NULL;
    if (napi_create_external(call->env, call->opened, finalize, NULL, &value) != napi_ok)
        return NULL;
    call->opened = NULL;
    return value;
}

struct handle *handle_get(struct call *call, napi_value value, enum handle_kind kind)
{
    void *data = NULL;
    napi_get_value_external(call->env, value, &data);
    struct handle *handle = data;
    if (!handle || handle->kind != kind) {
        call_refuse(call, "a handle of a %s was expected", kinds[kind]);
        return NULL;
    }
    if (handle->device || handle->model || handle->index)
        return handle;
    call_refuse(call, "the %s is closed", kinds[kind]);
    return NULL;
}
