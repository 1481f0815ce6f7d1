/* SPDX-License-Identifier: MIT */
#include "call.h"
#include "handle.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What comes before the arguments of every function: an Int32Array whose number JavaScript sets to
 * cancel the call, and a function that is told what is done. */
enum { STOP, REPORT, FIRST };
/* The array of what is kept has the arguments, and the result behind them. */
enum { RESULT = FIRST + CALL_ARGUMENTS };

/* ---- Memory and failures --------------------------------------------------------------------- */

struct block {
    struct block *next;
    uint64_t memory[]; /* aligned for all that calls have */
};

void *call_allocate(struct call *call, size_t count, size_t size)
{
    if (size && count > (SIZE_MAX - sizeof(struct block)) / size)
        return NULL;
    struct block *block = calloc(1, sizeof(*block) + count * size);
    if (!block)
        return NULL;
    block->next = call->blocks;
    call->blocks = block;
    return block->memory;
}

const char *call_copy(struct call *call, const char *text)
{
    const size_t size = strlen(text) + 1;
    char *copy = call_allocate(call, size, 1);
    return copy ? memcpy(copy, text, size) : "";
}

void call_refuse(struct call *call, const char *format, ...)
{
    char message[1024];
    va_list values;
    va_start(values, format);
    vsnprintf(message, sizeof(message), format, values);
    va_end(values);
    /* Where an exception is pending already, such as that of a getter, this has no effect. */
    napi_throw_type_error(call->env, NULL, message);
    call->failed = true;
}

void call_refuse_memory(struct call *call)
{
    napi_throw(call->env, value_error(call->env, VKCLIP_EMEMORY, NULL));
    call->failed = true;
}

void *call_reserve(struct call *call, size_t count, size_t size)
{
    void *memory = call_allocate(call, count, size);
    if (!memory)
        call_refuse_memory(call);
    return memory;
}

static void free_call(struct call *call)
{
    if (call->opened) {
        handle_close(call->opened);
        free(call->opened);
    }
    for (struct block *block = call->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(call);
}

/* A report that is under way owns the call, too. */
static void leave_call(struct call *call)
{
    if (atomic_fetch_sub(&call->owners, 1) == 1)
        free_call(call);
}

/* ---- What is kept ---------------------------------------------------------------------------- */

static napi_value get_kept(struct call *call, uint32_t place)
{
    napi_value kept = NULL, value = NULL;
    napi_get_reference_value(call->env, call->kept, &kept);
    napi_get_element(call->env, kept, place, &value);
    return value;
}

void *call_result(struct call *call, napi_typedarray_type type, size_t count)
{
    napi_env env = call->env;
    napi_value global = NULL, constructor = NULL, length = NULL, array = NULL, kept = NULL;
    void *data = NULL;
    size_t found = 0;
    const char *name = type == napi_int32_array ? "Int32Array" : "Float32Array";
    /* Node ends the process where it makes an array that is too large; the constructor throws. */
    napi_get_global(env, &global);
    napi_get_named_property(env, global, name, &constructor);
    napi_create_double(env, (double)count, &length);
    napi_new_instance(env, constructor, 1, &length, &array);
    if (!value_elements(env, array, type, &data, &found) || found != count)
        call_refuse_memory(call);
    napi_get_reference_value(env, call->kept, &kept);
    napi_set_element(env, kept, RESULT, array);
    return data;
}

napi_value call_get_result(struct call *call)
{
    return get_kept(call, RESULT);
}

/* ---- Reports --------------------------------------------------------------------------------- */

int call_report(struct call *call, uint64_t done, uint64_t total, uint64_t third)
{
    call->numbers[0] = done;
    call->numbers[1] = total;
    call->numbers[2] = third;
    /* JavaScript takes the newest numbers when it comes to it, so one report at a time is enough.
     */
    if (!atomic_exchange(&call->posted, true)) {
        atomic_fetch_add(&call->owners, 1);
        if (napi_call_threadsafe_function(call->reports, call, napi_tsfn_nonblocking) != napi_ok) {
            atomic_fetch_sub(&call->owners, 1);
            *call->stop = 1;
        }
    }
    return *call->stop != 0;
}

int call_progress(void *user, uint64_t done, uint64_t total)
{
    return call_report(user, done, total, 0);
}

static void tell(struct call *call)
{
    napi_value numbers[3] = {NULL}, receiver = NULL;
    atomic_store(&call->posted, false);
    call->reported = call->numbers[0];
    for (int i = 0; i < 3; i++)
        napi_create_double(call->env, (double)call->numbers[i], &numbers[i]);
    napi_get_undefined(call->env, &receiver);
    /* The function catches what the caller's own throws. It fails where JavaScript does not run any
     * more, because a worker was terminated: then nobody waits for the call. */
    if (napi_call_function(call->env, receiver, get_kept(call, REPORT), 3, numbers, NULL) !=
        napi_ok)
        *call->stop = 1;
}

/* Runs on JavaScript's thread, without an `env` where the environment has ended. */
static void take_report(napi_env env, napi_value function, void *context, void *data)
{
    struct call *call = data;
    (void)function;
    (void)context;
    if (env && !call->completed)
        tell(call);
    leave_call(call);
}

/* ---- From the arguments to the promise ------------------------------------------------------- */

static void execute(napi_env env, void *data)
{
    struct call *call = data;
    (void)env;
    call->error = *call->stop ? VKCLIP_ECANCELLED : call->function->run(call);
    if (call->error && !call->message)
        call->message = call_copy(call, *call->stop ? "" : vkclip_last_error());
}

/* Settles the promise, which has no effect where JavaScript does not run any more. */
static void settle(struct call *call)
{
    napi_value value = NULL, exception = NULL;
    if (!call->error)
        value = call->function->finish ? call->function->finish(call) : call_get_result(call);
    if (value) {
        napi_resolve_deferred(call->env, call->deferred, value);
        return;
    }
    /* A result that cannot be made leaves an exception, with which nothing else could be done. */
    napi_get_and_clear_last_exception(call->env, &exception);
    const int error = call->error ? call->error : VKCLIP_EMEMORY;
    napi_reject_deferred(call->env, call->deferred, value_error(call->env, error, call->message));
}

static void complete(napi_env env, napi_status status, void *data)
{
    struct call *call = data;
    if (status != napi_ok && !call->error)
        call->error = VKCLIP_ECANCELLED;
    if (!call->error && call->numbers[0] != call->reported)
        tell(call);
    settle(call);
    napi_delete_reference(env, call->kept);
    napi_delete_async_work(env, call->work);
    call->completed = true;
    leave_call(call);
}

static napi_value start(struct call *call)
{
    napi_value promise = NULL, name = value_text(call->env, call->function->name);
    if (napi_create_async_work(call->env, NULL, name, execute, complete, call, &call->work) !=
            napi_ok ||
        napi_create_promise(call->env, &call->deferred, &promise) != napi_ok ||
        napi_queue_async_work(call->env, call->work) != napi_ok)
        call_refuse_memory(call);
    return promise;
}

static void keep_arguments(struct call *call, const napi_value *values)
{
    napi_value kept = NULL;
    napi_create_array(call->env, &kept);
    for (uint32_t i = 0; i < FIRST + CALL_ARGUMENTS; i++)
        napi_set_element(call->env, kept, i, values[i]);
    if (napi_create_reference(call->env, kept, 1, &call->kept) != napi_ok)
        call_refuse_memory(call);
    memcpy(call->arguments, values + FIRST, sizeof(call->arguments));
}

static void read_arguments(struct call *call, const napi_value *values)
{
    void *stop = NULL;
    size_t count = 0;
    keep_arguments(call, values);
    if (!value_elements(call->env, values[STOP], napi_int32_array, &stop, &count) || !count)
        call_refuse(call, "%s: an Int32Array was expected", call->function->name);
    call->stop = stop;
    if (!call->failed && call->function->read)
        call->function->read(call);
}

static napi_value call_function(napi_env env, napi_callback_info info)
{
    napi_value values[FIRST + CALL_ARGUMENTS] = {NULL}, promise = NULL;
    size_t count = FIRST + CALL_ARGUMENTS;
    void *data = NULL, *reports = NULL;
    napi_get_cb_info(env, info, &count, values, NULL, &data);
    napi_get_instance_data(env, &reports);
    const struct function *function = data;
    struct call *call = calloc(1, function->size);
    if (!call) {
        napi_throw(env, value_error(env, VKCLIP_EMEMORY, NULL));
        return NULL;
    }
    call->function = function;
    call->env = env;
    call->reports = reports;
    call->owners = 1;
    read_arguments(call, values);
    if (!call->failed)
        promise = start(call);
    if (!call->failed)
        return promise;
    if (call->work)
        napi_delete_async_work(env, call->work);
    if (call->kept)
        napi_delete_reference(env, call->kept);
    free_call(call);
    return NULL;
}

void call_export(napi_env env, napi_value exports, const struct function *const *functions,
                 size_t count)
{
    napi_threadsafe_function reports = NULL;
    napi_create_threadsafe_function(env, NULL, NULL, value_text(env, "vkclip"), 0, 1, NULL, NULL,
                                    NULL, take_report, &reports);
    /* What keeps the program running is the work of calls. */
    napi_unref_threadsafe_function(env, reports);
    napi_set_instance_data(env, reports, NULL, NULL);
    for (size_t i = 0; i < count; i++) {
        napi_value function = NULL;
        napi_create_function(env, functions[i]->name, NAPI_AUTO_LENGTH, call_function,
                             (void *)functions[i], &function);
        napi_set_named_property(env, exports, functions[i]->name, function);
    }
}
