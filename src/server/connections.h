/* SPDX-License-Identifier: MIT
 *
 * The open connections, and until when each may stay as it is. libmicrohttpd's own limit counts
 * from the last byte, so that a client which sends or reads a byte now and then could hold
 * connections for ever.
 */
#ifndef VKCLIP_SERVER_CONNECTIONS_H
#define VKCLIP_SERVER_CONNECTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct connections;

struct connection {
    int socket;
    bool is_unix;
    bool is_own;     /* The client is a process of the server's user, by a Unix socket. */
    char client[64]; /* its address, or "uid N" */
    uint64_t peer;   /* the machine of the client; 0: this one, where others may stand behind it */
    bool busy;       /* A request is there. */
    bool asking;     /* The request has not come in whole. */
    double since;    /* when it was opened, or its last answer was sent */
    double until;    /* when it is closed, while it is busy */
    struct connection *next, **link;
};

/* `most` is how many there may be. `silence` is how many seconds one may stay without a request. */
int connections_open(size_t most, double silence, struct connections **connections);
void connections_close(struct connections **connections);
/* NULL: out of memory, and the connection is not watched. */
struct connection *connections_add(struct connections *connections, int socket, bool is_unix);
void connections_remove(struct connections *connections, struct connection *connection);
/* Counts a request that has begun or ended. `connection` may be NULL here and below. The connection
 * is closed at `until` if the request has not come in by then. */
void connections_begin(struct connections *connections, struct connection *connection,
                       double until);
void connections_end(struct connections *connections, struct connection *connection);
/* Says that the request has come in, or is answered before it has, and sets when the connection is
 * closed, as long as the request has not ended. */
void connections_limit(struct connections *connections, struct connection *connection,
                       double until);
/* Closes connections that have stayed too long, and those whose client is gone and from which a
 * request, or the rest of one, is expected: libmicrohttpd does not always see the end of a
 * connection that comes together with data. Call it about once a second. */
void connections_sweep(struct connections *connections);
/* Waits until clock_seconds() is `end`, or until every answer was sent. */
void connections_drain(struct connections *connections, double end);
size_t connections_count(struct connections *connections);
/* Tells whether the client has closed the connection. */
bool connection_is_gone(const struct connection *connection);

#endif
