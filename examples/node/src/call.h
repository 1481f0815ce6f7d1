/* SPDX-License-Identifier: MIT
 *
 * A call of the library on a thread of libuv, as a promise of JavaScript. What it needs is read
 * from the arguments first, and copied where JavaScript could change it; its result is made when it
 * is done. Every function of the addon is a row that says how.
 */
#ifndef CALL_H
#define CALL_H

#include "value.h"

#include <stdatomic.h>
#include <stdint.h>
#include <vkclip.h>

struct function {
    const char *name;
    size_t size;                     /* of its own struct, which begins with a struct call */
    void (*read)(struct call *call); /* reads the arguments, on JavaScript's thread */
    int (*run)(struct call *call);   /* calls the library, on another thread */
    /* Makes the result. NULL: it is the array of call_result, or undefined. */
    napi_value (*finish)(struct call *call);
};

enum { CALL_ARGUMENTS = 6 }; /* the most arguments of a function, without the first two */

struct handle;

struct call {
    const struct function *function;
    napi_env env;
    napi_threadsafe_function reports;
    napi_value arguments[CALL_ARGUMENTS]; /* while they are read */
    bool failed;                          /* An exception was thrown while they were read. */
    napi_ref kept;                        /* keeps what the call uses from being collected */
    napi_async_work work;
    napi_deferred deferred;
    struct block *blocks;
    struct handle *opened; /* becomes the caller's, or is closed with the call */
    int error;
    const char *message;
    _Atomic int32_t *stop; /* not 0: the call is to end; JavaScript has this number, too */
    /* What is done, of how much, and a third number of some calls. */
    _Atomic uint64_t numbers[3];
    uint64_t reported; /* the last number that JavaScript was told */
    atomic_bool posted;
    atomic_int owners;
    bool completed;
};

/* Makes the threadsafe function by which calls report, and adds the functions to `exports`. */
void call_export(napi_env env, napi_value exports, const struct function *const *functions,
                 size_t count);

/* Gives zeroed memory that lives as long as the call, on any thread; NULL: there is none left. */
void *call_allocate(struct call *call, size_t count, size_t size);
/* The same while arguments are read, which throws an exception where there is none left. */
void *call_reserve(struct call *call, size_t count, size_t size);
const char *call_copy(struct call *call, const char *text);

/* Throws an exception while arguments are read, unless one was thrown. */
void call_refuse(struct call *call, const char *format, ...);
void call_refuse_memory(struct call *call);

/* Makes the Float32Array or Int32Array that is the call's result, and shows its elements. */
void *call_result(struct call *call, napi_typedarray_type type, size_t count);
napi_value call_get_result(struct call *call);

/* A vkclip_progress_fn whose `user` is the call, or a struct that begins with it. */
int call_progress(void *user, uint64_t done, uint64_t total);
/* The same for calls that have a third number. */
int call_report(struct call *call, uint64_t done, uint64_t total, uint64_t third);

#endif
