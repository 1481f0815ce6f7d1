/* SPDX-License-Identifier: MIT
 *
 * A connection sleeps (MHD_suspend_connection) while a thread of the pool works on its request, so
 * that few threads serve many connections.
 */
#define _GNU_SOURCE /* pread */
#include "server/http.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/string.h"
#include "base/thread.h"
#include "server/access_log.h"
#include "server/internal.h"
#include "server/routes.h"
#include "server/trust.h"

#include <microhttpd.h>
#include <stdarg.h>
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
    MOST_JSON_DEPTH = 64,
    MOST_BODIES = 8,         /* times max_body that all bodies may take together */
    SILENCE = 30,            /* seconds in which a connection must send a request */
    READ_BLOCK = 64 << 10,   /* bytes of a file that are read at once */
    THREADS = 2,             /* that read and write; the pool does the work */
    HEADER_MEMORY = 32 << 10 /* bytes of a request's line and headers */
};

/* An open connection, which libmicrohttpd keeps for us. Its time limit counts from the last byte,
 * so that a client which sends a byte now and then could hold connections for ever. */
struct connection {
    MHD_socket socket;
    double since; /* when it was opened, or its last answer was sent */
    bool busy;    /* A request is there. */
    struct connection *next, **link;
};

struct listener {
    struct http *http;
    struct MHD_Daemon *daemon;
    bool is_unix;
};

struct http {
    struct server *server;
    struct listener listeners[MOST_SOCKETS];
    size_t listener_count;
    char *certificate, *key;  /* the content of the PEM files */
    atomic_size_t body_bytes; /* of all requests */
    struct mutex lock;        /* protects what follows */
    struct condition idle;
    struct connection *connections;
    size_t busy; /* requests that are not answered */
};

/* ---- Requests as handlers see them --------------------------------------------------------------- */

const char *request_header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *request_query(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

int request_is_over(void *user, uint64_t done, uint64_t total)
{
    const struct request *request = user;
    (void)done;
    (void)total;
    return clock_seconds() > request->deadline || atomic_load(&request->server->stopping);
}

static bool is_too_deep(const char *text, size_t size)
{
    size_t depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < size; i++) {
        if (in_string) {
            i += text[i] == '\\';
            in_string = i < size && text[i] != '"';
        } else if (text[i] == '"') {
            in_string = true;
        } else if (text[i] == '[' || text[i] == '{') {
            if (++depth > MOST_JSON_DEPTH)
                return true;
        } else if ((text[i] == ']' || text[i] == '}') && depth) {
            depth--;
        }
    }
    return false;
}

json_t *request_json(struct request *request)
{
    json_error_t error;
    if (!request->size) {
        answer_error(request, MHD_HTTP_BAD_REQUEST, "expected a JSON body, found none");
        return NULL;
    }
    if (is_too_deep(request->body, request->size)) {
        answer_error(request, MHD_HTTP_BAD_REQUEST,
                     "JSON body: expected at most %d levels of arrays and objects",
                     MOST_JSON_DEPTH);
        return NULL;
    }
    json_t *json = json_loadb(request->body, request->size, JSON_REJECT_DUPLICATES, &error);
    if (!json)
        answer_error(request, MHD_HTTP_BAD_REQUEST, "JSON body, line %d, column %d: %s", error.line,
                     error.column, error.text);
    return json;
}

/* ---- Answers ----------------------------------------------------------------------------------- */

static void set_answer(struct request *request, unsigned status, const char *type,
                       struct MHD_Response *answer)
{
    if (!answer)
        return; /* http_finish answers with 500. */
    if (request->answer)
        MHD_destroy_response(request->answer);
    request->answer = answer;
    request->status = status;
    answer_header(request, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    answer_header(request, "X-Content-Type-Options", "nosniff");
    trust_add_headers(request);
}

void answer_header(struct request *request, const char *name, const char *value)
{
    if (request->answer)
        MHD_add_response_header(request->answer, name, value);
}

void answer_data(struct request *request, unsigned status, const char *type, void *data,
                 size_t size)
{
    request->sent = size;
    struct MHD_Response *answer =
        MHD_create_response_from_buffer(size, data, MHD_RESPMEM_MUST_FREE);
    if (!answer)
        free(data);
    set_answer(request, status, type, answer);
}

void answer_static(struct request *request, unsigned status, const char *type, const void *data,
                   size_t size)
{
    request->sent = size;
    /* The library only reads what is persistent. */
    set_answer(
        request, status, type,
        MHD_create_response_from_buffer(size, (void *)(uintptr_t)data, MHD_RESPMEM_PERSISTENT));
}

struct open_file {
    int file;
    uint64_t offset;
};

static ssize_t read_block(void *user, uint64_t position, char *block, size_t size)
{
    const struct open_file *open_file = user;
    const ssize_t got = pread(open_file->file, block, size, (off_t)(open_file->offset + position));
    return got > 0 ? got : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void close_file(void *user)
{
    struct open_file *open_file = user;
    close(open_file->file);
    free(open_file);
}

void answer_file(struct request *request, unsigned status, const char *type, int file,
                 uint64_t offset, uint64_t size)
{
    struct open_file *open_file = malloc(sizeof(*open_file));
    request->sent = size;
    if (!open_file) {
        close(file);
        return;
    }
    *open_file = (struct open_file){file, offset};
    struct MHD_Response *answer =
        MHD_create_response_from_callback(size, READ_BLOCK, read_block, open_file, close_file);
    if (!answer)
        close_file(open_file);
    set_answer(request, status, type, answer);
}

void answer_json(struct request *request, unsigned status, json_t *json)
{
    /* Nine digits tell every float from all others. */
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(json);
    if (text)
        answer_data(request, status, "application/json", text, strlen(text));
}

/* What OpenAI's clients tell errors by. */
static json_t *pack_openai_error(const struct request *request, unsigned status,
                                 const char *message)
{
    const bool is_client = status < 500;
    const char *code = status == MHD_HTTP_UNAUTHORIZED ? "invalid_api_key" : NULL;
    if (status == MHD_HTTP_NOT_FOUND && request->parameter)
        code = "model_not_found";
    return json_pack("{s{ss ss ss? ss?}}", "error", "message", message, "type",
                     is_client ? "invalid_request_error" : "server_error", "param",
                     is_client ? request->parameter : NULL, "code", code);
}

static json_t *pack_error(const struct request *request, unsigned status, const char *message)
{
    switch (request->route ? request->route->form : route_error_form(request->path)) {
    case ERROR_OPENAI:
        return pack_openai_error(request, status, message);
    case ERROR_DETAIL:
        return json_pack("{ss}", "detail", message);
    case ERROR_FLASK:
        return json_pack("{ss}", "message", message);
    case ERROR_PROBLEM:
        break;
    }
    return json_pack("{ss}", "error", message);
}

void answer_error(struct request *request, unsigned status, const char *format, ...)
{
    char message[ERROR_MESSAGE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    answer_json(request, status, pack_error(request, status, message));
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
        answer_header(request, MHD_HTTP_HEADER_RETRY_AFTER, "1");
}

void answer_library_error(struct request *request, int error)
{
    static const struct {
        int error;
        unsigned status;
    } rows[] = {
        {VKCLIP_EINVALID, MHD_HTTP_BAD_REQUEST},
        {VKCLIP_EFORMAT, MHD_HTTP_UNPROCESSABLE_CONTENT},
        {VKCLIP_EUNSUPPORTED, MHD_HTTP_UNPROCESSABLE_CONTENT},
        {VKCLIP_ETOOLONG, MHD_HTTP_BAD_REQUEST},
        {VKCLIP_EABSENT, MHD_HTTP_NOT_FOUND},
        {VKCLIP_ECANCELLED, MHD_HTTP_SERVICE_UNAVAILABLE},
        {VKCLIP_EMEMORY, MHD_HTTP_SERVICE_UNAVAILABLE},
        {VKCLIP_EDEVICEMEMORY, MHD_HTTP_SERVICE_UNAVAILABLE},
    };
    unsigned status = MHD_HTTP_INTERNAL_SERVER_ERROR;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (rows[i].error == error)
            status = rows[i].status;
    answer_error(request, status, "%s", vkclip_last_error());
}

/* ---- Connections ------------------------------------------------------------------------------- */

static void open_connection(struct http *http, MHD_socket socket, void **state)
{
    struct connection *noted = *state = calloc(1, sizeof(*noted));
    if (!noted)
        return;
    *noted = (struct connection){.socket = socket,
                                 .since = clock_seconds(),
                                 .next = http->connections,
                                 .link = &http->connections};
    if (noted->next)
        noted->next->link = &noted->next;
    http->connections = noted;
}

static void close_connection(void **state)
{
    struct connection *noted = *state;
    if (!noted)
        return;
    *noted->link = noted->next;
    if (noted->next)
        noted->next->link = noted->link;
    free(noted);
    *state = NULL;
}

/* Is an MHD_NotifyConnectionCallback. */
static void note_connection(void *user, struct MHD_Connection *connection, void **state,
                            enum MHD_ConnectionNotificationCode code)
{
    struct http *http = ((struct listener *)user)->http;
    mutex_lock(&http->lock);
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        open_connection(
            http,
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd,
            state);
    else
        close_connection(state);
    mutex_unlock(&http->lock);
}

/* Counts a request that has begun or ended. */
static void note_request(struct http *http, struct MHD_Connection *connection, bool begins)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct connection *noted = info ? info->socket_context : NULL;
    mutex_lock(&http->lock);
    if (noted) {
        noted->busy = begins;
        noted->since = clock_seconds();
    }
    if (begins)
        http->busy++;
    else if (!--http->busy)
        condition_tell(&http->idle);
    mutex_unlock(&http->lock);
}

void http_sweep(struct http *http)
{
    const double oldest = clock_seconds() - SILENCE;
    mutex_lock(&http->lock);
    for (struct connection *noted = http->connections; noted; noted = noted->next)
        if (!noted->busy && noted->since < oldest)
            shutdown(noted->socket, SHUT_RDWR);
    mutex_unlock(&http->lock);
}

void http_drain(struct http *http, double seconds)
{
    const double end = clock_seconds() + seconds;
    mutex_lock(&http->lock);
    while (http->busy && clock_seconds() < end)
        condition_wait_for(&http->idle, &http->lock, end - clock_seconds());
    mutex_unlock(&http->lock);
}

/* ---- A request's way ----------------------------------------------------------------------------- */

static enum MHD_Result send_answer(struct request *request)
{
    if (!request->answer)
        answer_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory");
    if (!request->answer)
        return MHD_NO;
    return MHD_queue_response(request->connection, request->status, request->answer);
}

/* Is a job of the pool. */
static void handle_in_pool(void *user)
{
    struct request *request = user;
    struct MHD_Connection *connection = request->connection;
    if (request_is_over(request, 0, 0))
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                     "the server is busy: the request waited for %.0f seconds",
                     clock_seconds() - request->began);
    else
        request->route->handle(request);
    MHD_resume_connection(connection);
}

static enum MHD_Result dispatch(struct request *request)
{
    struct server *server = request->server;
    if (request->route->flags & ROUTE_FAST) {
        request->route->handle(request);
        return send_answer(request);
    }
    request->dispatched = true;
    if (!pool_reserve(server->pool)) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                     "the server is busy: %u requests are being worked on",
                     server->options.max_requests);
        return send_answer(request);
    }
    MHD_suspend_connection(request->connection);
    pool_run(server->pool, handle_in_pool, request);
    return MHD_YES;
}

static void find_route(struct request *request)
{
    bool known;
    request->route = route_find(request->method, request->path, &request->id, &known);
    if (request->route)
        return;
    if (known)
        answer_error(request, MHD_HTTP_METHOD_NOT_ALLOWED, "%s %s: no such method here",
                     request->method, request->path);
    else
        answer_error(request, MHD_HTTP_NOT_FOUND, "%s: no such address", request->path);
}

/* Reserves memory for a body whose length is known. */
static void prepare_body(struct request *request)
{
    const char *text = request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const uint64_t most = request->server->options.max_body;
    if (text && strtoull(text, NULL, 10) > most)
        answer_error(request, MHD_HTTP_CONTENT_TOO_LARGE,
                     "the body has %s bytes, expected at most %llu", text,
                     (unsigned long long)most);
}

static struct request *begin_request(struct listener *listener, struct MHD_Connection *connection,
                                     const char *path, const char *method)
{
    struct server *server = listener->http->server;
    struct request *request = calloc(1, sizeof(*request));
    if (!request)
        return NULL;
    request->server = server;
    request->connection = connection;
    request->is_local = listener->is_unix;
    request->method = method;
    request->path = path;
    request->began = clock_seconds();
    request->deadline = request->began + server->options.timeout;
    note_request(listener->http, connection, true);
    find_route(request);
    if (!request->answer)
        trust_check(request);
    if (!request->answer)
        prepare_body(request);
    return request;
}

/* Keeps bytes of the body. More than the limit are dropped, so that the answer can say so; false:
 * the connection is not worth it any more. */
static bool take_body(struct request *request, const char *data, size_t size)
{
    struct http *http = request->server->http;
    const uint64_t most = request->server->options.max_body;
    request->too_long |= request->size + size > most;
    if (request->too_long || request->no_room || clock_seconds() > request->deadline) {
        request->size += size;
        return request->size < 2 * most && clock_seconds() <= request->deadline;
    }
    if (request->size + size + 1 > request->capacity) {
        size_t capacity = request->capacity ? request->capacity : 4096;
        while (capacity < request->size + size + 1)
            capacity *= 2;
        request->no_room =
            atomic_load(&http->body_bytes) + capacity - request->capacity > MOST_BODIES * most;
        if (request->no_room) {
            request->size += size;
            return true;
        }
        char *body = realloc(request->body, capacity);
        if (!body)
            return false;
        atomic_fetch_add(&http->body_bytes, capacity - request->capacity);
        request->body = body;
        request->capacity = capacity;
    }
    memcpy(request->body + request->size, data, size);
    request->size += size;
    request->body[request->size] = 0;
    return true;
}

/* Is an MHD_AccessHandlerCallback: called when the headers are there, for each part of the body, at
 * its end, and after the connection was resumed. */
static enum MHD_Result take_request(void *user, struct MHD_Connection *connection, const char *path,
                                    const char *method, const char *version, const char *data,
                                    size_t *size, void **state)
{
    struct request *request = *state;
    (void)version;
    if (!request) {
        *state = request = begin_request(user, connection, path, method);
        if (!request)
            return MHD_NO;
        return request->answer ? send_answer(request) : MHD_YES;
    }
    if (*size) {
        const bool good = take_body(request, data, *size);
        *size = 0;
        return good ? MHD_YES : MHD_NO;
    }
    if (request->too_long)
        answer_error(request, MHD_HTTP_CONTENT_TOO_LARGE,
                     "the body has more than %llu bytes, the most that is allowed",
                     (unsigned long long)request->server->options.max_body);
    else if (request->no_room)
        answer_error(
            request, MHD_HTTP_SERVICE_UNAVAILABLE,
            "the server is busy: the bodies of its requests take all memory that they may");
    if (request->dispatched || request->answer)
        return send_answer(request);
    return dispatch(request);
}

/* Is an MHD_RequestCompletedCallback. */
static void end_request(void *user, struct MHD_Connection *connection, void **state,
                        enum MHD_RequestTerminationCode code)
{
    struct listener *listener = user;
    struct request *request = *state;
    if (!request)
        return;
    metrics_count_request(&request->server->metrics, request->route, request->status,
                          clock_seconds() - request->began);
    access_log_write(request, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    if (request->answer)
        MHD_destroy_response(request->answer);
    atomic_fetch_sub(&listener->http->body_bytes, request->capacity);
    note_request(listener->http, connection, false);
    free(request->body);
    free(request);
    *state = NULL;
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
    mutex_init(&http->lock);
    condition_init(&http->idle);
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
    *listener = (struct listener){.http = http, .is_unix = is_unix};
    listener->daemon = MHD_start_daemon(
        MHD_USE_AUTO_INTERNAL_THREAD | MHD_USE_SUSPEND_RESUME | (tls ? MHD_USE_TLS : 0), 0, NULL,
        NULL, take_request, listener, MHD_OPTION_LISTEN_SOCKET, socket, MHD_OPTION_NOTIFY_COMPLETED,
        end_request, listener, MHD_OPTION_NOTIFY_CONNECTION, note_connection, listener,
        MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS, MHD_OPTION_CONNECTION_LIMIT,
        options->max_connections, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SILENCE,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HEADER_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_ARRAY, tls ? secrets : none, MHD_OPTION_END);
    if (!listener->daemon)
        return error_fail(VKCLIP_EIO, "the HTTP server cannot be started%s",
                          tls ? ": check the certificate and its key" : "");
    http->listener_count++;
    return VKCLIP_OK;
}

void http_quiesce(struct http *http)
{
    for (size_t i = 0; i < http->listener_count; i++) {
        const MHD_socket socket = MHD_quiesce_daemon(http->listeners[i].daemon);
        if (socket != MHD_INVALID_SOCKET)
            close(socket);
    }
}

void http_close(struct http **handle)
{
    struct http *http = *handle;
    if (!http)
        return;
    for (size_t i = 0; i < http->listener_count; i++)
        MHD_stop_daemon(http->listeners[i].daemon);
    condition_destroy(&http->idle);
    mutex_destroy(&http->lock);
    free(http->certificate);
    free(http->key);
    free(http);
    *handle = NULL;
}

size_t http_connections(const struct http *http)
{
    size_t count = 0;
    for (size_t i = 0; i < http->listener_count; i++) {
        const union MHD_DaemonInfo *info =
            MHD_get_daemon_info(http->listeners[i].daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
        count += info ? info->num_connections : 0;
    }
    return count;
}
