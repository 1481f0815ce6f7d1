/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* POLLRDHUP, struct ucred */
#include "server/connections.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "server/address.h"

#include <math.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* Seconds in which a connection must send a request when half of the connections are taken, so that
 * clients which only hold them do not keep others out. */
#define CROWDED_SILENCE 5.

struct connections {
    struct mutex lock; /* protects all that follows */
    struct condition idle;
    struct connection *first;
    size_t count, most;
    double silence;
    size_t busy; /* requests that have not ended */
};

int connections_open(size_t most, double silence, struct connections **result)
{
    struct connections *connections = *result = calloc(1, sizeof(*connections));
    if (!connections)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the server");
    connections->most = most;
    connections->silence = silence;
    mutex_init(&connections->lock);
    condition_init(&connections->idle);
    return VKCLIP_OK;
}

void connections_close(struct connections **handle)
{
    struct connections *connections = *handle;
    if (!connections)
        return;
    condition_destroy(&connections->idle);
    mutex_destroy(&connections->lock);
    free(connections);
    *handle = NULL;
}

/* ---- One connection ------------------------------------------------------------------------------ */

/* The user of the process at the other end of a Unix socket. */
static bool find_user(int socket, uid_t *user)
{
#ifdef SO_PEERCRED
    struct ucred client;
    socklen_t size = sizeof(client);
    const bool good = !getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &client, &size);
    *user = good ? client.uid : 0;
    return good;
#else
    gid_t group;
    return !getpeereid(socket, user, &group);
#endif
}

/* A proxy of this machine, and this machine's users, come from the address to which they connect.
 */
static uint64_t find_peer(int socket, const struct sockaddr *client)
{
    struct sockaddr_storage storage = {0};
    socklen_t size = sizeof(storage);
    struct sockaddr *own = (struct sockaddr *)&storage;
    const uint64_t peer = address_number(client);
    return !getsockname(socket, own, &size) && address_number(own) != peer ? peer : 0;
}

static void describe_client(struct connection *connection)
{
    struct sockaddr_storage storage = {0};
    socklen_t size = sizeof(storage);
    uid_t user;
    if (connection->is_unix) {
        const bool known = find_user(connection->socket, &user);
        connection->is_own = known && (user == geteuid() || !user);
        if (known)
            snprintf(connection->client, sizeof(connection->client), "uid %lu",
                     (unsigned long)user);
    } else if (!getpeername(connection->socket, (struct sockaddr *)&storage, &size)) {
        connection->peer = find_peer(connection->socket, (struct sockaddr *)&storage);
        getnameinfo((struct sockaddr *)&storage, size, connection->client,
                    sizeof(connection->client), NULL, 0, NI_NUMERICHOST);
    }
}

struct connection *connections_add(struct connections *connections, int socket, bool is_unix)
{
    struct connection *connection = calloc(1, sizeof(*connection));
    if (connection) {
        *connection =
            (struct connection){.socket = socket, .is_unix = is_unix, .since = clock_seconds()};
        describe_client(connection);
    }
    mutex_lock(&connections->lock);
    connections->count++;
    if (connection) {
        connection->next = connections->first;
        connection->link = &connections->first;
        if (connection->next)
            connection->next->link = &connection->next;
        connections->first = connection;
    }
    mutex_unlock(&connections->lock);
    return connection;
}

void connections_remove(struct connections *connections, struct connection *connection)
{
    mutex_lock(&connections->lock);
    connections->count--;
    if (connection) {
        *connection->link = connection->next;
        if (connection->next)
            connection->next->link = connection->link;
    }
    mutex_unlock(&connections->lock);
    free(connection);
}

/* Closing the writing half alone would look the same, but clients of HTTP do not do so before they
 * have the answer, and nginx gives up such requests too. */
bool connection_is_gone(const struct connection *connection)
{
#ifdef POLLRDHUP
    struct pollfd look = {.fd = connection->socket, .events = POLLRDHUP};
    return poll(&look, 1, 0) > 0 && look.revents;
#else
    struct pollfd look = {.fd = connection->socket};
    return poll(&look, 1, 0) > 0 && look.revents;
#endif
}

/* ---- Requests and limits ------------------------------------------------------------------------- */

void connections_begin(struct connections *connections, struct connection *connection, double until)
{
    mutex_lock(&connections->lock);
    connections->busy++;
    if (connection) {
        connection->busy = connection->asking = true;
        connection->until = until;
    }
    mutex_unlock(&connections->lock);
}

void connections_end(struct connections *connections, struct connection *connection)
{
    mutex_lock(&connections->lock);
    if (!--connections->busy)
        condition_tell(&connections->idle);
    if (connection) {
        connection->busy = connection->asking = false;
        connection->since = clock_seconds();
    }
    mutex_unlock(&connections->lock);
}

void connections_limit(struct connections *connections, struct connection *connection, double until)
{
    if (!connection)
        return;
    mutex_lock(&connections->lock);
    connection->asking = false;
    connection->until = until;
    mutex_unlock(&connections->lock);
}

void connections_sweep(struct connections *connections)
{
    const double now = clock_seconds();
    mutex_lock(&connections->lock);
    const bool crowded = connections->count > connections->most / 2;
    const double silence =
        crowded ? fmin(CROWDED_SILENCE, connections->silence) : connections->silence;
    for (struct connection *connection = connections->first; connection;
         connection = connection->next) {
        const double end = connection->busy ? connection->until : connection->since + silence;
        const bool expects = !connection->busy || connection->asking;
        if (now > end || (expects && connection_is_gone(connection)))
            shutdown(connection->socket, SHUT_RDWR);
    }
    mutex_unlock(&connections->lock);
}

void connections_drain(struct connections *connections, double end)
{
    mutex_lock(&connections->lock);
    while (connections->busy && clock_seconds() < end)
        condition_wait_for(&connections->idle, &connections->lock, end - clock_seconds());
    mutex_unlock(&connections->lock);
}

size_t connections_count(struct connections *connections)
{
    mutex_lock(&connections->lock);
    const size_t count = connections->count;
    mutex_unlock(&connections->lock);
    return count;
}
