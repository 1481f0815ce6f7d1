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
struct connection;
struct MHD_Response;
struct MHD_Connection;

struct request {
    struct server *server;
    const struct route *route;
    const char *method, *path;
    char name[40]; /* by which the log and the client call the request */
    bool is_local; /* It came through a Unix socket from the server's own user. */
    int64_t id;    /* the number in the path, of routes with {id} */
    /* Which parameter an error is about, for clients of OpenAI's API; NULL: unknown. */
    const char *parameter;
    char *body; /* [size], and a NUL after it; NULL: none */
    size_t size;
    double began;    /* seconds of clock_seconds when the headers had arrived */
    double deadline; /* the answer is given up then */

    /* The members below belong to request.c and answer.c. */
    struct connection *from;
    struct MHD_Connection *connection;
    struct MHD_Response *answer;
    unsigned status;
    uint64_t received, sent;
    size_t capacity;      /* of `body` */
    size_t held;          /* bytes of memory, see request_hold */
    size_t answer_bytes;  /* bytes of the quota of answers */
    size_t archives;      /* of the quota of archives */
    size_t archive_bytes; /* of the quota of their bytes */
    uint64_t most_body;
    bool too_long, no_room; /* of the body */
    bool early; /* The answer does not wait for the body, which is not worth receiving. */
    bool dispatched;
    double looked; /* when it was last looked whether the client is still there */
    bool gone;     /* It is not. */
};

/* The value of a header or of a parameter in the URL; NULL: it was not sent. */
const char *request_header(const struct request *request, const char *name);
const char *request_query(const struct request *request, const char *name);
/* Tells whether the time for the request is over, its client has closed the connection, or the
 * server stops. Is a vkclip_progress_fn whose `user` is the request, so that it ends long calls. */
int request_is_over(void *request, uint64_t done, uint64_t total);
/* Counts memory that the request keeps until its end among that of bodies; false: there is no room.
 */
bool request_hold(struct request *request, size_t bytes);
/* Fails with EMEMORY, because request_hold found no room. */
int request_fail_memory(void);
/* Gives back what was held before the request's end. */
void request_release(struct request *request, size_t bytes);

/* Reads JSON with an object or array at the top (strict_json.h), whose memory counts among that of
 * bodies. Errors: EINVALID, EMEMORY (there is no room). */
int request_read_json(struct request *request, const char *text, size_t size, json_t **json);
/* The same for the body, which is freed. NULL: the request was answered. */
json_t *request_json(struct request *request);

/* ---- Answers ----------------------------------------------------------------------------------- */

/* Takes over the reference. NULL means out of memory, as from json_pack. */
void answer_json(struct request *request, unsigned status, json_t *json);
/* Takes over memory of malloc. */
void answer_data(struct request *request, unsigned status, const char *type, void *data,
                 size_t size);
/* For memory that never changes. `type` may be NULL. */
void answer_static(struct request *request, unsigned status, const char *type, const void *data,
                   size_t size);
/* Takes over the descriptor, and sends `size` bytes of the file from `offset` on. */
void answer_file(struct request *request, unsigned status, const char *type, int file,
                 uint64_t offset, uint64_t size);
/* Adds a header to the answer that was given. */
void answer_header(struct request *request, const char *name, const char *value);
/* A text as JSON takes it: each byte that is not of UTF-8 becomes U+FFFD. */
json_t *answer_text(const char *text);

/* Answers with an error in the form that the route's protocol has. */
void answer_error(struct request *request, unsigned status, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* Answers with the last error of the library on this thread, whose code is `error`. */
void answer_library_error(struct request *request, int error);

#endif
