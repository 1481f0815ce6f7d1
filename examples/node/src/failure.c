/* SPDX-License-Identifier: MIT */
#include "failure.h"

void failure_add(struct call *call, struct failures *failures, const char *path, size_t index,
                 int error, const char *message)
{
    struct failure *failure = call_allocate(call, 1, sizeof(*failure));
    if (!failure)
        return;
    failure->path = path ? call_copy(call, path) : NULL;
    failure->index = index;
    failure->error = error;
    failure->message = call_copy(call, message);
    if (!failures->end)
        failures->end = &failures->first;
    *failures->end = failure;
    failures->end = &failure->next;
}

napi_value failure_give(struct call *call, napi_value result, const struct failures *failures)
{
    napi_value array = NULL;
    uint32_t count = 0;
    napi_create_array(call->env, &array);
    for (const struct failure *failure = failures->first; failure; failure = failure->next) {
        napi_value value = NULL;
        napi_value error = value_error(call->env, failure->error, failure->message);
        if (failure->path)
            value = value_text(call->env, failure->path);
        else
            napi_create_double(call->env, (double)failure->index, &value);
        napi_set_named_property(call->env, error, failure->path ? "path" : "index", value);
        napi_set_element(call->env, array, count++, error);
    }
    return napi_set_named_property(call->env, result, "failures", array) == napi_ok ? result : NULL;
}
