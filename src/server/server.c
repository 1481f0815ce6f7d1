/* SPDX-License-Identifier: MIT
 *
 * Starts the parts of the server in order, waits for a signal, and stops them in the other order.
 */
#include "server/server.h"
#include "base/clock.h"
#include "base/environment.h"
#include "base/file.h"
#include "base/log.h"
#include "base/string.h"
#include "base/workers.h"
#include "server/access_log.h"
#include "server/comparison.h"
#include "server/connections.h"
#include "server/http.h"
#include "server/index.h"
#include "server/internal.h"
#include "server/listen.h"
#include "server/results.h"
#include "server/signals.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

/* The lists of the last searches take at most so many bytes. After so many seconds a search runs
 * again, because another process may have changed the index. */
enum { KEPT_RESULTS = 64 << 20, RESULTS_SECONDS = 60 };

enum {
    MOST_TOKEN = 512,          /* characters */
    MOST_BODIES = 8,           /* times max_body that all bodies, and all answers, may take */
    MOST_PREPARED = 256 << 20, /* bytes of pixel values that wait for the device */
    MOST_ARCHIVES = 8,
    MOST_SILENCE = 30, /* seconds */
    OTHER_FILES = 256, /* that are open besides connections */
    LAST_SECONDS = 1   /* in which clients are told that the server stops */
};

#define DEFAULT(member, value) \
    if (!options->member)      \
    options->member = (value)

static void set_defaults(struct server_options *options)
{
    DEFAULT(listen, "127.0.0.1:8765");
    DEFAULT(max_body, 64u << 20);
    DEFAULT(max_archive, UINT64_C(4) << 30);
    DEFAULT(max_requests, 256);
    DEFAULT(max_connections, 4096);
    DEFAULT(timeout, 60);
    DEFAULT(stop_timeout, 10);
    DEFAULT(batch_size, 32);
    DEFAULT(batch_wait, 3);
    DEFAULT(ttl, 300);
}

/* Finds the token where other users of the machine do not see it, as they see a command line, and
 * tells what messages call its place. */
static int read_token(struct server_options *options, char **memory, char place[ERROR_MESSAGE])
{
    struct stat status;
    size_t size;
    snprintf(place, ERROR_MESSAGE, "%s", options->token ? "`token`" : "VKCLIP_TOKEN");
    if (options->token || !options->token_file) {
        options->token = options->token ? options->token : environment_get("VKCLIP_TOKEN");
        return VKCLIP_OK;
    }
    snprintf(place, ERROR_MESSAGE, "`token-file` %s", options->token_file);
    const int error = file_read(options->token_file, MOST_TOKEN + 2, memory, &size);
    if (error)
        return error_fail(error, "`token-file` %s", vkclip_last_error());
    if (!stat(options->token_file, &status) && status.st_mode & 077)
        log_message(VKCLIP_LOG_WARNING, "%s: other users can read the token (chmod 600)",
                    options->token_file);
    (*memory)[strcspn(*memory, "\r\n")] = 0;
    options->token = *memory;
    return VKCLIP_OK;
}

/* A token stands in a header and in a cookie. */
static int check_token(const char *token, const char *place)
{
    static const char refused[] = " \"\\,;";
    for (const char *next = token; next && *next; next++)
        if (*next <= ' ' || *next > '~' || strchr(refused, *next))
            return error_fail(VKCLIP_EINVALID,
                              "%s: expected a token of letters, digits and signs without spaces, "
                              "quotes, commas, semicolons and backslashes",
                              place);
    if (token && (strlen(token) < 8 || strlen(token) > MOST_TOKEN))
        return error_fail(VKCLIP_EINVALID, "%s: expected a token of 8 to %d characters, found %zu",
                          place, MOST_TOKEN, strlen(token));
    return VKCLIP_OK;
}

/* Finds the host and port behind a scheme; "": there is none. */
static const char *find_host(const char *url)
{
    const char *scheme_end = strstr(url, "://");
    return scheme_end && scheme_end > url ? scheme_end + strlen("://") : "";
}

static bool is_http(const char *url)
{
    return string_begins_with(url, "http://") || string_begins_with(url, "https://");
}

/* A name in another form would never be the one that a browser sends, or fail with each request. */
static int check_names(const struct server_options *options)
{
    const char *page = options->origin ? find_host(options->origin) : NULL;
    const char *upstream = options->immich_upstream ? options->immich_upstream : "";
    if (page && (!*page || strchr(page, '/')))
        return error_fail(VKCLIP_EINVALID,
                          "`cors`: expected an origin such as http://localhost:3005, found '%s'",
                          options->origin);
    if (*upstream && (!is_http(upstream) || !*find_host(upstream)))
        return error_fail(VKCLIP_EINVALID,
                          "`immich-upstream`: expected http://HOST:PORT or https://HOST:PORT, "
                          "found '%s'",
                          upstream);
    for (size_t i = 0; i < options->host_name_count; i++)
        if (!*options->host_names[i] || strchr(options->host_names[i], '/'))
            return error_fail(VKCLIP_EINVALID,
                              "`host`: expected a name such as photos.example, found '%s'",
                              options->host_names[i]);
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
    if (!error && !listening->count)
        error = error_fail(VKCLIP_EINVALID, "the server has no address: name one with `listen` or "
                                            "`unix`");
    return error ? error : check_addresses(options, listening);
}

/* Each connection is an open file. Those of the index, models and libraries need some, too. */
static int raise_file_limit(struct server_options *options)
{
    struct rlimit limit;
    const rlim_t wanted = (rlim_t)options->max_connections + OTHER_FILES;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur >= wanted)
        return VKCLIP_OK;
    limit.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : wanted;
    if (setrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur < wanted)
        return error_fail(VKCLIP_EINVALID,
                          "`max-connections`: %u connections need %llu open files, and the system "
                          "allows %llu (ulimit -n)",
                          options->max_connections, (unsigned long long)wanted,
                          (unsigned long long)limit.rlim_max);
    return VKCLIP_OK;
}

/* With several devices a batch is shared among them. */
static uint32_t count_devices(const struct server_options *options)
{
    struct vkclip_device_info info = {.size = sizeof(info)};
    size_t count = 0;
    const int error = vkclip_get_device_infos(options->device, &info, 1, &count);
    return error || !count ? 1 : (uint32_t)count;
}

static int open_memory(struct server *server)
{
    const struct server_options *options = &server->options;
    server->bodies.most = server->answers.most = (size_t)(MOST_BODIES * options->max_body);
    server->archives.most = MOST_ARCHIVES;
    server->archive_bytes.most =
        options->max_archive < SIZE_MAX ? (size_t)options->max_archive : SIZE_MAX;
    int error = workers_open(0, &server->workers);
    if (!error)
        error = gate_open(thread_processors(), &server->decoding);
    if (!error)
        error = gate_open(MOST_PREPARED, &server->prepared);
    return error;
}

static int open_parts(struct server *server)
{
    struct server_options *options = &server->options;
    metrics_open(&server->metrics);
    server->silence = fmin(MOST_SILENCE, options->timeout);
    server->name_key = (uint64_t)clock_date();
    int error = raise_file_limit(options);
    if (!error)
        error = access_log_open(options->access_log);
    if (!error)
        error = connections_open(options->max_connections, server->silence, &server->connections);
    if (!error)
        error = open_memory(server);
    if (!error)
        error = models_open(options, &server->models, &server->no_model);
    if (!error)
        error = pool_open(options->max_requests, &server->pool);
    if (!error)
        error = batcher_open(options->batch_size * count_devices(options),
                             options->batch_wait / 1000, server->pool, &server->batcher);
    if (!error)
        error = server_results_open(KEPT_RESULTS, RESULTS_SECONDS, &server->results);
    if (!error)
        error = server_index_open(options, server->results, &server->index, &server->no_model);
    if (!error && !options->model && server->index) {
        error = models_set_default(server->models, server_index_model_name(server->index));
        server->no_model = error;
    }
    if (!error && server->index)
        error = comparison_open(server, &server->comparison);
    if (!error)
        error = http_open(server, &server->http);
    return error;
}

/* Requests end before what they use is closed, and libmicrohttpd's threads before the pool, of
 * which they ask places. */
static void close_parts(struct server *server)
{
    if (server->pool)
        pool_stop(server->pool, INFINITY);
    http_close(&server->http);
    pool_close(&server->pool);
    server_index_stop(server->index);
    comparison_close(&server->comparison);
    server_index_close(&server->index);
    server_results_close(&server->results);
    batcher_close(&server->batcher);
    models_close(&server->models);
    gate_close(&server->prepared);
    gate_close(&server->decoding);
    workers_close(&server->workers);
    connections_close(&server->connections);
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

/* ---- Until the end ----------------------------------------------------------------------------- */

/* Waits for a signal that ends the server. Once a second, models that nobody uses are closed, and
 * connections that take too long. */
static void wait_for_end(struct server *server)
{
    for (;;) {
        const int signal = signals_wait();
        if (signal == SIGHUP)
            access_log_reopen();
        else if (signal)
            return;
        models_expire(server->models);
        connections_sweep(server->connections);
    }
}

/* Lets requests that run finish in time, and gives up the others. */
static void stop(struct server *server, struct listening *listening)
{
    const double end = clock_seconds() + server->options.stop_timeout;
    atomic_store(&server->ending, true);
    listen_remove(listening);
    http_quiesce(server->http);
    const bool done = pool_stop(server->pool, end);
    if (!done) {
        atomic_store(&server->stopping, true);
        models_stop(server->models);
        pool_stop(server->pool, INFINITY);
    }
    connections_drain(server->connections, done ? end : clock_seconds() + LAST_SECONDS);
}

static int serve(struct server *server, struct listening *listening)
{
    char *memory = NULL, place[ERROR_MESSAGE];
    int error = read_token(&server->options, &memory, place);
    if (!error)
        error = check_token(server->options.token, place);
    if (!error)
        error = check_names(&server->options);
    if (!error)
        error = open_sockets(&server->options, listening);
    if (!error)
        error = open_parts(server);
    if (!error)
        error = start(server, listening);
    if (!error) {
        wait_for_end(server);
        signals_release(&server->options); /* A second one ends the process at once. */
        stop(server, listening);
    }
    close_parts(server);
    free(memory);
    return error == VKCLIP_ECANCELLED && signals_want_end() ? VKCLIP_OK : error;
}

int server_run(const struct server_options *given, bool *no_model)
{
    struct server server = {.options = *given, .started = time(NULL)};
    struct listening listening = {0};
    set_defaults(&server.options);
    int error = signals_open(&server.options);
    if (error)
        return error;
    error = serve(&server, &listening);
    *no_model = server.no_model;
    signals_release(&server.options);
    listen_close(&listening);
    signals_close();
    return error;
}
