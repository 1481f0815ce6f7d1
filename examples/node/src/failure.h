/* SPDX-License-Identifier: MIT
 *
 * What failed in a call that went on without it.
 */
#ifndef FAILURE_H
#define FAILURE_H

#include "call.h"

struct failure {
    struct failure *next;
    const char *path; /* NULL: `index` says which one it is */
    size_t index;
    int error;
    const char *message;
};
struct failures {
    struct failure *first, **end;
};

/* Adds a failure, on any thread. `path` may be NULL. */
void failure_add(struct call *call, struct failures *failures, const char *path, size_t index,
                 int error, const char *message);
/* Gives a result the property `failures`, an array of Errors with the property `path` or `index`,
 * and returns it, or NULL. */
napi_value failure_give(struct call *call, napi_value result, const struct failures *failures);

#endif
