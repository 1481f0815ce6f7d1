/* SPDX-License-Identifier: MIT
 *
 * One HTTP request as a handler sees it, and the functions that answer it. A handler runs on a
 * thread of the pool, may wait, and answers exactly once.
 */
#ifndef VKCLIP_SERVER_REQUEST_H
#define VKCLIP_SERVER_REQUEST_H

#include "base/error.h"
#include "vkclip.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct server;
struct route;
struct MHD_Response;
struct MHD_Connection;

struct request {
    struct server *server;
    const struct route *route;
    const char *method, *path;
    bool is_local; /* It came through the Unix socket of the server's user. */
    int64_t id;    /* the number in the path, of routes with {id} */
    /* Which parameter an error is about, for clients of OpenAI's API; NULL: unknown. */
    const char *parameter;
    char *body; /* [size], and a NUL after it; NULL: none */
    size_t size;
    double began;    /* seconds of clock_seconds when the headers had arrived */
    double deadline; /* the answer is given up then */

    /* The members below belong to http.c. */
    size_t capacity;
    struct MHD_Connection *connection;
    struct MHD_Response *answer;
    unsigned status;
    uint64_t sent;
    bool too_long, dispatched;
    bool no_room; /* The bodies of all requests take too much memory. */
};

/* The value of a header or of a parameter in the URL; NULL: it was not sent. */
const char *request_header(const struct request *request, const char *name);
const char *request_query(const struct request *request, const char *name);
/* Tells whether the time for the request is over, or the server stops. Is a vkclip_progress_fn
 * whose `user` is the request, so that it ends long calls. */
int request_is_over(void *request, uint64_t done, uint64_t total);

/* Parses the body as JSON with an object or array at the top, at most 64 levels deep. NULL: it was
 * answered with 400. */
json_t *request_json(struct request *request);

/* ---- Answers ----------------------------------------------------------------------------------- */

/* Takes over the reference. NULL means out of memory, as from json_pack. */
void answer_json(struct request *request, unsigned status, json_t *json);
/* Takes over memory of malloc. */
void answer_data(struct request *request, unsigned status, const char *type, void *data,
                 size_t size);
/* For memory that never changes. */
void answer_static(struct request *request, unsigned status, const char *type, const void *data,
                   size_t size);
/* Takes over the descriptor, and sends `size` bytes of the file from `offset` on. */
void answer_file(struct request *request, unsigned status, const char *type, int file,
                 uint64_t offset, uint64_t size);
/* Adds a header to the answer that was given. */
void answer_header(struct request *request, const char *name, const char *value);

/* Answers with an error in the form that the route's protocol has. */
void answer_error(struct request *request, unsigned status, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Answers with the last error of the library on this thread, whose code is `error`. */
void answer_library_error(struct request *request, int error);

#endif
