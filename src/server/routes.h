/* SPDX-License-Identifier: MIT
 *
 * The table of everything that the server answers.
 */
#ifndef VKCLIP_SERVER_ROUTES_H
#define VKCLIP_SERVER_ROUTES_H

#include "server/request.h"

/* How an error is told, which each protocol's clients expect in their own way. */
enum error_form {
    ERROR_PROBLEM, /* {"error": "..."} */
    ERROR_OPENAI,  /* {"error": {"message", "type", "param", "code"}} */
    ERROR_DETAIL,  /* {"detail": "..."}, as FastAPI's, which immich's clients know */
    ERROR_FLASK    /* {"message": "..."}, as Flask's, which clip-retrieval's clients know */
};

enum {
    ROUTE_OPEN = 1, /* needs no token */
    ROUTE_FAST = 2  /* is answered on the thread that reads, because it never waits */
};

struct route {
    const char *method;
    const char *path; /* "{id}" stands for a number, and a "*" at the end for the rest */
    void (*handle)(struct request *request);
    unsigned flags;
    enum error_form form;
};

/* Finds the row of a method and a path. HEAD counts as GET. */
const struct route *route_find(const char *method, const char *path, int64_t *id);
/* Writes the methods that a path has, with commas between them; false: it has none. */
bool route_list_methods(const char *path, char *methods, size_t size);
/* For errors of requests that have no row, such as those of another method. */
enum error_form route_error_form(const char *path);

#endif
