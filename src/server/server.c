/* SPDX-License-Identifier: MIT
 *
 * Starts the parts of the server in order, waits for a signal, and stops them in the other order.
 */
#define _GNU_SOURCE /* sigtimedwait */
#include "server/server.h"
#include "base/error.h"
#include "server/access_log.h"
#include "server/http.h"
#include "server/index.h"
#include "server/internal.h"
#include "server/listen.h"
#include "server/results.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The lists of the last searches take at most so many bytes. After so many seconds a search runs
 * again, because another process may have changed the index. */
enum { KEPT_RESULTS = 64 << 20, RESULTS_SECONDS = 60 };

#define DEFAULT(member, value) \
    if (!options->member)      \
    options->member = (value)

static void set_defaults(struct server_options *options)
{
    DEFAULT(listen, "127.0.0.1:8765");
    DEFAULT(max_body, 64u << 20);
    DEFAULT(max_requests, 256);
    DEFAULT(max_connections, 4096);
    DEFAULT(timeout, 60);
    DEFAULT(stop_timeout, 10);
    DEFAULT(batch_size, 32);
    DEFAULT(batch_wait, 3);
    DEFAULT(ttl, 300);
}

/* A token stands in a header and in a cookie. */
static int check_token(const char *token)
{
    static const char refused[] = " \"\\,;";
    for (const char *next = token; next && *next; next++)
        if (*next <= ' ' || *next > '~' || strchr(refused, *next))
            return error_fail(VKCLIP_EINVALID,
                              "`token`: expected letters, digits and signs without spaces, quotes, "
                              "commas, semicolons and backslashes");
    if (token && (strlen(token) < 8 || strlen(token) > 512))
        return error_fail(VKCLIP_EINVALID, "`token`: expected 8 to 512 characters, found %zu",
                          strlen(token));
    return VKCLIP_OK;
}

/* Everyone who can connect may ask, where there is no token. */
static int check_addresses(const struct server_options *options, const struct listening *listening)
{
    for (size_t i = 0; i < listening->count; i++)
        if (!listening->sockets[i].is_loopback && !options->token && !options->no_auth)
            return error_fail(VKCLIP_EINVALID,
                              "%s can be reached from other machines: expected `token`, or "
                              "`no-auth` to serve everyone",
                              listening->sockets[i].address);
    return VKCLIP_OK;
}

static int open_sockets(const struct server_options *options, struct listening *listening)
{
    bool found;
    int error = listen_systemd(listening, &found);
    if (error || found)
        return error ? error : check_addresses(options, listening);
    if (*options->listen)
        error = listen_tcp(listening, options->listen);
    if (!error && options->unix_path && *options->unix_path)
        error = listen_unix(listening, options->unix_path);
    else if (!error && !options->unix_path)
        error = listen_user(listening);
    return error ? error : check_addresses(options, listening);
}

static int open_parts(struct server *server)
{
    const struct server_options *options = &server->options;
    metrics_open(&server->metrics);
    int error = access_log_open(options->access_log);
    if (!error)
        error = models_open(options, &server->models);
    if (!error)
        error = batcher_open(options->batch_size, options->batch_wait / 1000, &server->batcher);
    if (!error)
        error = server_index_open(options, server->models, &server->index);
    if (!error)
        error = server_results_open(KEPT_RESULTS, RESULTS_SECONDS, &server->results);
    if (!error)
        error = pool_open(options->max_requests, &server->pool);
    if (!error)
        error = http_open(server, &server->http);
    return error;
}

static void close_parts(struct server *server)
{
    pool_close(&server->pool);
    http_close(&server->http);
    server_index_close(&server->index);
    server_results_close(&server->results);
    batcher_close(&server->batcher);
    models_close(&server->models);
    access_log_close();
    metrics_close(&server->metrics);
}

static int start(struct server *server, struct listening *listening)
{
    int error = VKCLIP_OK;
    for (size_t i = 0; !error && i < listening->count; i++) {
        error =
            http_listen(server->http, listening->sockets[i].socket, listening->sockets[i].is_unix);
        if (!error)
            listening->sockets[i].socket = -1;
    }
    for (size_t i = 0; !error && i < listening->count; i++)
        if (!server->options.quiet && !listening->sockets[i].is_unix)
            printf("%s://%s/\n", server->options.tls_certificate ? "https" : "http",
                   listening->sockets[i].address);
    fflush(stdout);
    return error;
}

/* Waits for a signal that ends the server. Once a second, models that nobody uses are closed, and
 * connections that send nothing. */
static void wait_for_end(struct server *server, const sigset_t *signals)
{
    const struct timespec second = {.tv_sec = 1};
    while (sigtimedwait(signals, NULL, &second) < 0) {
        models_expire(server->models);
        http_sweep(server->http);
    }
}

int server_run(const struct server_options *given)
{
    struct server server = {.options = *given, .started = time(NULL)};
    struct listening listening = {0};
    sigset_t signals, before;
    set_defaults(&server.options);
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    /* All threads of the server inherit the mask, so that the signals wait for this one. */
    pthread_sigmask(SIG_BLOCK, &signals, &before);
    int error = check_token(server.options.token);
    if (!error)
        error = open_sockets(&server.options, &listening);
    if (!error)
        error = open_parts(&server);
    if (!error)
        error = start(&server, &listening);
    if (!error) {
        wait_for_end(&server, &signals);
        http_quiesce(server.http);
        if (!pool_stop(server.pool, server.options.stop_timeout))
            atomic_store(&server.stopping, true);
        http_drain(server.http, server.options.stop_timeout);
    }
    close_parts(&server);
    listen_close(&listening);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}
