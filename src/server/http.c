/* SPDX-License-Identifier: MIT
 *
 * Runs libmicrohttpd, one daemon per socket. What becomes of requests is in request.c.
 */
#define _GNU_SOURCE /* dup3 */
#include "server/http.h"
#include "base/file.h"
#include "server/connections.h"
#include "server/header.h"
#include "server/internal.h"
#include "server/receive.h"

#include <fcntl.h>
#include <math.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* MHD_Result is an int before version 0.9.71. */
#if MHD_VERSION < 0x00097002
#define MHD_Result int
#endif

enum {
    MOST_SOCKETS = 8,
    THREADS = 2,              /* that read and write; the pool does the work */
    HEADER_MEMORY = 32 << 10, /* bytes of a request's line and headers */
    MOST_PARAMETERS = 100     /* in a URL; no route has more than a few */
};

struct listener {
    struct server *server;
    struct MHD_Daemon *daemon;
    int socket;
    bool is_unix;
    bool is_quiet; /* It takes no new connections. */
};

struct http {
    struct server *server;
    struct listener listeners[MOST_SOCKETS];
    size_t listener_count;
    char *certificate, *key; /* the content of the PEM files */
};

/* Is an MHD_NotifyConnectionCallback. */
static void note_connection(void *user, struct MHD_Connection *connection, void **state,
                            enum MHD_ConnectionNotificationCode code)
{
    const struct listener *listener = user;
    struct connections *connections = listener->server->connections;
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        *state = connections_add(
            connections,
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
            listener->is_unix);
    else
        connections_remove(connections, *state);
}

/* Is an MHD_OPTION_URI_LOG_CALLBACK: called before a URL's parameters are taken apart. With more of
 * them than HEADER_MEMORY has room for, libmicrohttpd neither answers nor reads on, until the limit
 * of silence. Nothing can be answered here, so that the connection is closed. */
static void *check_target(void *user, const char *target, struct MHD_Connection *connection)
{
    const struct listener *listener = user;
    const char *next = strchr(target, '?');
    size_t count = 0;
    while (next && count++ < MOST_PARAMETERS)
        next = strchr(next + 1, '&');
    if (next) {
        shutdown(MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
                 SHUT_RDWR);
        metrics_reject(&listener->server->metrics, METRICS_LENGTH);
    }
    return NULL; /* No request has begun yet. */
}

/* Is an MHD_AccessHandlerCallback: called when the headers are there, for each part of the body, at
 * its end, and after the connection was resumed. */
static enum MHD_Result take_request(void *user, struct MHD_Connection *connection, const char *path,
                                    const char *method, const char *version, const char *data,
                                    size_t *size, void **state)
{
    const struct listener *listener = user;
    struct request *request = *state;
    bool good;
    if (!request) {
        *state = request = receive_begin(listener->server, connection, path, method, version);
        good = request && receive_headers(request);
    } else if (*size) {
        good = receive_body(request, data, *size);
        *size = 0;
    } else {
        good = receive_end(request);
    }
    return good ? MHD_YES : MHD_NO;
}

/* Is an MHD_RequestCompletedCallback. */
static void end_request(void *user, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode code)
{
    (void)user;
    (void)connection;
    if (*state)
        receive_close(*state, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    *state = NULL;
}

/* Is an MHD_OPTION_UNESCAPE_CALLBACK. The library's own function would let %00 end a path. */
static size_t unescape(void *user, struct MHD_Connection *connection, char *text)
{
    (void)user;
    (void)connection;
    return header_unescape(text);
}

/* ---- Daemons ------------------------------------------------------------------------------------- */

static int read_tls(struct http *http)
{
    const struct server_options *options = &http->server->options;
    size_t size;
    if (!options->tls_certificate && !options->tls_key)
        return VKCLIP_OK;
    if (!options->tls_certificate || !options->tls_key)
        return error_fail(VKCLIP_EINVALID, "TLS needs both `tls-cert` and `tls-key`");
    int error = file_read(options->tls_certificate, 1 << 20, &http->certificate, &size);
    if (!error)
        error = file_read(options->tls_key, 1 << 20, &http->key, &size);
    return error;
}

int http_open(struct server *server, struct http **result)
{
    struct http *http = *result = calloc(1, sizeof(*http));
    if (!http)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the server");
    http->server = server;
    const int error = read_tls(http);
    if (error)
        http_close(result);
    return error;
}

int http_listen(struct http *http, int socket, bool is_unix)
{
    const struct server_options *options = &http->server->options;
    struct listener *listener = &http->listeners[http->listener_count];
    if (http->listener_count == MOST_SOCKETS)
        return error_fail(VKCLIP_EINVALID, "expected at most %d sockets", MOST_SOCKETS);
    const bool tls = http->certificate && !is_unix;
    const struct MHD_OptionItem secrets[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, http->certificate},
                                             {MHD_OPTION_HTTPS_MEM_KEY, 0, http->key},
                                             {MHD_OPTION_END, 0, NULL}};
    const struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    *listener = (struct listener){.server = http->server, .socket = socket, .is_unix = is_unix};
    listener->daemon = MHD_start_daemon(
        MHD_USE_AUTO_INTERNAL_THREAD | MHD_USE_SUSPEND_RESUME | (tls ? MHD_USE_TLS : 0), 0, NULL,
        NULL, take_request, listener, MHD_OPTION_LISTEN_SOCKET, socket, MHD_OPTION_NOTIFY_COMPLETED,
        end_request, listener, MHD_OPTION_NOTIFY_CONNECTION, note_connection, listener,
        MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_URI_LOG_CALLBACK, check_target,
        listener, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS, MHD_OPTION_CONNECTION_LIMIT,
        options->max_connections, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)ceil(http->server->silence), MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)HEADER_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_ARRAY,
        tls ? secrets : none, MHD_OPTION_END);
    if (!listener->daemon && tls)
        return error_fail(
            VKCLIP_EINVALID,
            "%s and %s: expected a certificate and its own key, as PEM without a password",
            options->tls_certificate, options->tls_key);
    if (!listener->daemon)
        return error_fail(VKCLIP_EIO, "the HTTP server cannot be started");
    http->listener_count++;
    return VKCLIP_OK;
}

void http_quiesce(struct http *http)
{
    for (size_t i = 0; i < http->listener_count; i++) {
        struct listener *listener = &http->listeners[i];
        const int nothing = listener->is_quiet ? -1 : open("/dev/null", O_RDONLY | O_CLOEXEC);
        if (nothing < 0)
            continue;
        MHD_quiesce_daemon(listener->daemon);
        /* This closes the socket, so that clients are refused from now on. Its number stays taken,
         * because a thread of the library may be about to use it once more. */
        dup3(nothing, listener->socket, O_CLOEXEC);
        close(nothing);
        listener->is_quiet = true;
    }
}

void http_close(struct http **handle)
{
    struct http *http = *handle;
    if (!http)
        return;
    http_quiesce(http);
    for (size_t i = 0; i < http->listener_count; i++) {
        MHD_stop_daemon(http->listeners[i].daemon);
        close(http->listeners[i].socket);
    }
    free(http->certificate);
    free(http->key);
    free(http);
    *handle = NULL;
}
