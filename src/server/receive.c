/* SPDX-License-Identifier: MIT
 *
 * A connection sleeps (MHD_suspend_connection) while a thread of the pool works on its request, so
 * that few threads serve many connections.
 */
#include "server/receive.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/rng.h"
#include "base/string.h"
#include "server/access_log.h"
#include "server/connections.h"
#include "server/internal.h"
#include "server/routes.h"
#include "server/strict_json.h"
#include "server/trust.h"

#include <math.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* MHD_Result is an int before version 0.9.71. */
#if MHD_VERSION < 0x00097002
#define MHD_Result int
#endif

enum {
    OPEN_BODY = 64 << 10, /* bytes that those may send who need no token */
    FIRST_BODY = 4096,    /* bytes that are allocated at first */
    GRACE = 2,            /* seconds after the deadline, for requests that end by themselves */
    SEND_RATE = 16 << 10  /* bytes per second that a client must take of an answer */
};

/* Seconds after which it is looked again whether the client is still there. */
#define LOOK_AGAIN 0.1

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
    struct request *request = user;
    const double now = clock_seconds();
    (void)done;
    (void)total;
    if (request->from && !request->gone && now > request->looked + LOOK_AGAIN) {
        request->looked = now;
        request->gone = connection_is_gone(request->from);
    }
    return request->gone || now > request->deadline || atomic_load(&request->server->stopping);
}

/* What a request takes of the quota, if it holds so many bytes. */
static size_t counted_bytes(size_t held)
{
    return held > SMALL_REQUEST ? held - SMALL_REQUEST : 0;
}

bool request_hold(struct request *request, size_t bytes)
{
    const size_t held = request->held + bytes;
    if (!quota_take(&request->server->bodies, counted_bytes(held) - counted_bytes(request->held)))
        return false;
    request->held = held;
    return true;
}

int request_fail_memory(void)
{
    return error_fail(VKCLIP_EMEMORY,
                      "the server is busy: its requests take all memory that they may");
}

void request_release(struct request *request, size_t bytes)
{
    const size_t held = request->held - bytes;
    quota_give(&request->server->bodies, counted_bytes(request->held) - counted_bytes(held));
    request->held = held;
}

static void drop_body(struct request *request)
{
    request_release(request, request->capacity);
    free(request->body);
    request->body = NULL;
    request->size = request->capacity = 0;
}

/* Pages that may not name JSON send it as plain text, and curl -d says that it is a form. */
static bool may_be_json(const char *type)
{
    static const char *const types[] = {"application/json", "text/plain",
                                        MHD_HTTP_POST_ENCODING_FORM_URLENCODED};
    bool good = !type || !*type;
    for (size_t i = 0; !good && i < ARRAY_COUNT(types); i++)
        good = !strncasecmp(type, types[i], strlen(types[i]));
    return good;
}

int request_read_json(struct request *request, const char *text, size_t size, json_t **json)
{
    size_t bytes;
    *json = NULL;
    const int error = strict_json_measure(text, size, &bytes);
    if (error)
        return error;
    if (!request_hold(request, bytes))
        return request_fail_memory();
    return strict_json_read(text, size, json);
}

json_t *request_json(struct request *request)
{
    json_t *json;
    const char *type = request_header(request, MHD_HTTP_HEADER_CONTENT_TYPE);
    if (!may_be_json(type)) {
        answer_error(request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "expected a JSON body, found %s",
                     type);
        return NULL;
    }
    const int error = request_read_json(request, request->body, request->size, &json);
    drop_body(request);
    if (error)
        answer_library_error(request, error);
    return json;
}

/* ---- Headers ------------------------------------------------------------------------------------- */

/* What tells where a request ends. If proxies and this server could read that in two ways, one
 * client's request could contain another's (request smuggling). */
struct framing {
    unsigned lengths, codings, hosts;
    bool other_coding, bad_name;
};

/* Is an MHD_KeyValueIterator. */
static enum MHD_Result note_header(void *user, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    struct framing *framing = user;
    (void)kind;
    framing->lengths += !strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH);
    framing->hosts += !strcasecmp(name, MHD_HTTP_HEADER_HOST);
    if (!strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING)) {
        framing->codings++;
        framing->other_coding |= !value || strcasecmp(value, "chunked") != 0;
    }
    for (const char *next = name; *next; next++)
        framing->bad_name |= *next <= ' ' || *next > '~' || strchr("\"(),/:;<=>?@[\\]{}", *next);
    framing->bad_name |= !*name;
    return MHD_YES;
}

static void check_framing(struct request *request, const char *version)
{
    struct framing framing = {0};
    MHD_get_connection_values(request->connection, MHD_HEADER_KIND, note_header, &framing);
    if (framing.bad_name)
        answer_error(request, MHD_HTTP_BAD_REQUEST, "a header's name has other characters");
    else if (framing.hosts > 1)
        answer_error(request, MHD_HTTP_BAD_REQUEST, "expected one header Host");
    else if (framing.lengths + framing.codings > 1)
        answer_error(request, MHD_HTTP_BAD_REQUEST,
                     "expected one header Content-Length or Transfer-Encoding");
    else if (framing.codings && strcmp(version, MHD_HTTP_VERSION_1_1) != 0)
        answer_error(request, MHD_HTTP_BAD_REQUEST, "Transfer-Encoding: expected HTTP/1.1");
    else if (framing.other_coding)
        answer_error(request, MHD_HTTP_NOT_IMPLEMENTED, "Transfer-Encoding: expected chunked");
    if (!request->answer)
        return;
    request->early = true;
    metrics_reject(&request->server->metrics, METRICS_FRAMING);
}

static void find_route(struct request *request)
{
    char methods[64];
    request->route = route_find(request->method, request->path, &request->id);
    if (request->route)
        return;
    if (!route_list_methods(request->path, methods, sizeof(methods))) {
        answer_error(request, MHD_HTTP_NOT_FOUND, "%s: no such address", request->path);
        return;
    }
    answer_error(request, MHD_HTTP_METHOD_NOT_ALLOWED, "%s %s: no such method here",
                 request->method, request->path);
    answer_header(request, MHD_HTTP_HEADER_ALLOW, methods);
}

static void check_coding(struct request *request)
{
    const char *coding = request_header(request, MHD_HTTP_HEADER_CONTENT_ENCODING);
    if (coding && strcasecmp(coding, "identity"))
        answer_error(request, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE,
                     "Content-Encoding: expected a body as it is, found %s", coding);
}

/* A body that is too long by its own account, or whose client waits for leave to send it, is not
 * received. Other clients would not see an answer that comes while they send. */
static void check_length(struct request *request)
{
    const char *text = request_header(request, MHD_HTTP_HEADER_CONTENT_LENGTH);
    const uint64_t length = text ? strtoull(text, NULL, 10) : 0;
    const bool open = !request->route || request->route->flags & ROUTE_OPEN;
    request->most_body = request->server->options.max_body;
    if (open && request->most_body > OPEN_BODY)
        request->most_body = OPEN_BODY;
    request->too_long = length > request->most_body;
    request->early |= length > 2 * request->server->options.max_body;
    if (request_header(request, MHD_HTTP_HEADER_EXPECT))
        request->early |= request->too_long || request->answer;
}

/* Clients may give their requests a name, which then stands in their log and in this server's. */
static void name_request(struct request *request)
{
    static const char characters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    struct server *server = request->server;
    const char *given = request_header(request, "X-Request-Id");
    if (given && *given && strlen(given) < sizeof(request->name) &&
        !given[strspn(given, characters)])
        strcpy(request->name, given);
    else
        snprintf(request->name, sizeof(request->name), "%016llx",
                 (unsigned long long)rng_word(server->name_key,
                                              atomic_fetch_add(&server->request_count, 1)));
}

/* A request may name its target as a proxy gets it: http://HOST/PATH. */
static const char *skip_authority(const char *path)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < ARRAY_COUNT(schemes); i++)
        if (string_begins_with(path, schemes[i])) {
            const char *slash = strchr(path + strlen(schemes[i]), '/');
            return slash ? slash : "/";
        }
    return path;
}

static struct connection *find_connection(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info ? info->socket_context : NULL;
}

struct request *receive_begin(struct server *server, struct MHD_Connection *connection,
                              const char *path, const char *method, const char *version)
{
    struct request *request = calloc(1, sizeof(*request));
    if (!request)
        return NULL;
    request->server = server;
    request->connection = connection;
    request->from = find_connection(connection);
    request->is_local = request->from && request->from->is_own;
    request->method = method;
    request->path = skip_authority(path);
    request->began = clock_seconds();
    request->deadline = request->began + server->options.timeout;
    connections_begin(server->connections, request->from, request->deadline + GRACE);
    name_request(request);
    check_framing(request, version);
    return request;
}

/* ---- The answer ---------------------------------------------------------------------------------- */

static bool send_answer(struct request *request)
{
    if (!request->answer)
        answer_error(request, MHD_HTTP_INTERNAL_SERVER_ERROR, "out of memory");
    if (!request->answer)
        return false;
    connections_limit(request->server->connections, request->from,
                      clock_seconds() + request->server->silence +
                          (double)request->sent / SEND_RATE);
    return MHD_queue_response(request->connection, request->status, request->answer) == MHD_YES;
}

bool receive_headers(struct request *request)
{
    if (!request->answer)
        trust_answer_preflight(request);
    if (!request->answer)
        find_route(request);
    if (!request->answer)
        trust_check(request);
    if (!request->answer)
        check_coding(request);
    check_length(request);
    if (!request->early)
        return true;
    if (!request->answer)
        return receive_end(request);
    return send_answer(request);
}

/* Is a job of the pool. */
static void handle_in_pool(void *user)
{
    struct request *request = user;
    struct MHD_Connection *connection = request->connection;
    if (request_is_over(request, 0, 0)) {
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                     "the server is busy: the request waited for %.0f seconds",
                     clock_seconds() - request->began);
        metrics_reject(&request->server->metrics, METRICS_TIME);
    } else {
        request->route->handle(request);
    }
    /* The request may be freed from now on. */
    MHD_resume_connection(connection);
}

static bool dispatch(struct request *request)
{
    struct server *server = request->server;
    if (request->route->flags & ROUTE_FAST) {
        request->route->handle(request);
        return send_answer(request);
    }
    request->dispatched = true;
    if (!pool_reserve(server->pool)) {
        metrics_reject(&server->metrics, METRICS_BUSY);
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                     "the server is busy: %u requests are being worked on",
                     server->options.max_requests);
        return send_answer(request);
    }
    connections_limit(server->connections, request->from, INFINITY);
    MHD_suspend_connection(request->connection);
    pool_run(server->pool, handle_in_pool, request);
    return true;
}

/* ---- Bodies -------------------------------------------------------------------------------------- */

/* Makes room for `size` more bytes. */
static bool grow_body(struct request *request, size_t size)
{
    size_t capacity = request->capacity ? request->capacity : FIRST_BODY;
    while (capacity < request->size + size + 1)
        capacity *= 2;
    const size_t more = capacity - request->capacity;
    if (!more)
        return true;
    if (!request_hold(request, more))
        return false;
    char *body = realloc(request->body, capacity);
    if (body)
        request->body = body;
    /* Without memory, drop_body gives back what was taken from the quota. */
    request->capacity = capacity;
    return body;
}

/* What is too much, or for a request that is refused, is dropped, so that the client gets the
 * answer. */
bool receive_body(struct request *request, const char *data, size_t size)
{
    request->received += size;
    request->too_long |= request->received > request->most_body;
    if (clock_seconds() > request->deadline)
        return false;
    if (!request->answer && !request->too_long && !request->no_room)
        request->no_room = !grow_body(request, size);
    if (request->answer || request->too_long || request->no_room) {
        drop_body(request);
        return request->received <= 2 * request->server->options.max_body;
    }
    memcpy(request->body + request->size, data, size);
    request->size += size;
    request->body[request->size] = 0;
    return true;
}

bool receive_end(struct request *request)
{
    if (request->dispatched || request->answer)
        return send_answer(request);
    if (request->too_long) {
        metrics_reject(&request->server->metrics, METRICS_LENGTH);
        answer_error(request, MHD_HTTP_CONTENT_TOO_LARGE,
                     "the body has more than %llu bytes, the most that is allowed here",
                     (unsigned long long)request->most_body);
        return send_answer(request);
    }
    if (request->no_room) {
        metrics_reject(&request->server->metrics, METRICS_MEMORY);
        answer_error(
            request, MHD_HTTP_SERVICE_UNAVAILABLE,
            "the server is busy: the bodies of its requests take all memory that they may");
        return send_answer(request);
    }
    return dispatch(request);
}

void receive_close(struct request *request, bool complete)
{
    struct server *server = request->server;
    metrics_count_request(&server->metrics, request, complete);
    access_log_write(request, complete);
    if (request->answer)
        MHD_destroy_response(request->answer);
    quota_give(&server->answers, request->answer_bytes);
    quota_give(&server->archives, request->archives);
    quota_give(&server->archive_bytes, request->archive_bytes);
    request_release(request, request->held);
    connections_end(server->connections, request->from);
    free(request->body);
    free(request);
}
