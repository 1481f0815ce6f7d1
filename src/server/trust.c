/* SPDX-License-Identifier: MIT
 *
 * A server without a token trusts every program of the machine, but not every page in the browser:
 * a page of another origin may send requests to 127.0.0.1, and a name that its owner points at
 * 127.0.0.1 makes it the same origin (DNS rebinding). The headers Origin, Sec-Fetch-Site and Host
 * tell all that.
 */
#include "server/trust.h"
#include "server/connections.h"
#include "server/header.h"
#include "server/internal.h"
#include "server/routes.h"

#include <string.h>
#include <strings.h>

/* Compares without telling by its time how many characters are equal. */
static bool is_equal(const char *given, size_t length, const char *expected)
{
    const size_t size = strlen(expected);
    unsigned char difference = length != size;
    for (size_t i = 0; i < length; i++)
        difference |= (unsigned char)(given[i] ^ expected[size ? i % size : 0]);
    return !difference;
}

bool trust_is_token(const struct server *server, const char *text)
{
    return server->options.token && is_equal(text, strlen(text), server->options.token);
}

/* The permissions of a Unix socket decide who may connect. */
static bool is_unix(const struct request *request)
{
    return request->from && request->from->is_unix;
}

bool trust_has_token(const struct request *request)
{
    static const char start[] = "Bearer ";
    const char *token = request->server->options.token;
    const char *header = request_header(request, "Authorization");
    const char *cookies = request_header(request, "Cookie");
    size_t length;
    if (!token || is_unix(request))
        return true;
    if (header && !strncasecmp(header, start, sizeof(start) - 1))
        return trust_is_token(request->server, header + sizeof(start) - 1);
    const char *cookie = header_find_cookie(cookies, "vkclip_token", &length);
    return cookie && is_equal(cookie, length, token);
}

static bool is_own_name(const struct server_options *options, const char *host)
{
    static const char *const loopback[] = {"localhost", "127.0.0.1", "[::1]"};
    const size_t length = header_host_length(host);
    for (size_t i = 0; i < sizeof(loopback) / sizeof(*loopback); i++)
        if (length && strlen(loopback[i]) == length && !strncasecmp(host, loopback[i], length))
            return true;
    for (size_t i = 0; i < options->host_name_count; i++)
        if (length && strlen(options->host_names[i]) == length &&
            !strncasecmp(host, options->host_names[i], length))
            return true;
    return false;
}

static bool is_allowed_origin(const struct request *request)
{
    const char *origin = request_header(request, "Origin");
    const char *allowed = request->server->options.origin;
    return origin && allowed && !strcmp(origin, allowed);
}

/* Tells whether a request comes from a page of another origin. Pictures and scripts of a page are
 * asked for without the header Origin, but newer browsers say in Sec-Fetch-Site whose page it is. A
 * person may follow a link from anywhere. */
static bool is_foreign(const struct request *request)
{
    const char *origin = request_header(request, "Origin"), *host = request_header(request, "Host");
    const char *site = request_header(request, "Sec-Fetch-Site");
    const char *mode = request_header(request, "Sec-Fetch-Mode");
    if (is_allowed_origin(request))
        return false;
    if (origin) {
        const char *name = strstr(origin, "://");
        return !name || !host || strcasecmp(name + 3, host);
    }
    return site && strcmp(site, "same-origin") != 0 && strcmp(site, "none") != 0 &&
           (!mode || strcmp(mode, "navigate") != 0);
}

void trust_check(struct request *request)
{
    const struct server_options *options = &request->server->options;
    struct metrics *metrics = &request->server->metrics;
    const char *host = request_header(request, "Host");
    if (is_unix(request))
        return;
    if (is_foreign(request)) {
        const char *origin = request_header(request, "Origin");
        metrics_reject(metrics, METRICS_ORIGIN);
        answer_error(request, 403, "%s: this origin may not ask; see --cors",
                     origin ? origin : "another site");
    } else if (!(request->route->flags & ROUTE_OPEN) && !trust_has_token(request)) {
        metrics_reject(metrics, METRICS_TOKEN);
        answer_error(request, 401, "expected the server's token as 'Authorization: Bearer TOKEN'");
        answer_header(request, "WWW-Authenticate", "Bearer");
    } else if (!options->token && !options->no_auth && host && !is_own_name(options, host)) {
        metrics_reject(metrics, METRICS_HOST);
        answer_error(request, 403, "%s: the server is not known by this name; see --host", host);
    }
}

void trust_answer_preflight(struct request *request)
{
    if (strcmp(request->method, "OPTIONS") != 0 || !is_allowed_origin(request) ||
        !request_header(request, "Access-Control-Request-Method"))
        return;
    answer_static(request, 204, NULL, "", 0);
    answer_header(request, "Access-Control-Allow-Methods", "GET, HEAD, POST, DELETE");
    answer_header(request, "Access-Control-Allow-Headers", "Authorization, Content-Type, Range");
    answer_header(request, "Access-Control-Max-Age", "600");
    if (request_header(request, "Access-Control-Request-Private-Network"))
        answer_header(request, "Access-Control-Allow-Private-Network", "true");
}

void trust_add_headers(struct request *request)
{
    const char *allowed = request->server->options.origin;
    /* No page of another origin may show what this server gives. */
    answer_header(request, "Cross-Origin-Resource-Policy", "same-origin");
    if (!allowed)
        return;
    answer_header(request, "Access-Control-Allow-Origin", allowed);
    answer_header(request, "Access-Control-Expose-Headers",
                  "Content-Range, ETag, Retry-After, X-Request-Id");
    answer_header(request, "Vary", "Origin");
}
