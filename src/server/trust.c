/* SPDX-License-Identifier: MIT
 *
 * A server without a token trusts every program of the machine, but not every page in the browser:
 * a page of another origin may send requests to 127.0.0.1, and a name that its owner points at
 * 127.0.0.1 makes it the same origin (DNS rebinding). The headers Origin and Host tell both.
 */
#include "server/trust.h"
#include "base/string.h"
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

bool trust_has_token(const struct request *request)
{
    static const char start[] = "Bearer ", name[] = "vkclip_token=";
    const char *token = request->server->options.token;
    const char *header = request_header(request, "Authorization");
    if (!token || request->is_local)
        return true;
    if (header && !strncasecmp(header, start, sizeof(start) - 1))
        return trust_is_token(request->server, header + sizeof(start) - 1);
    const char *cookie = request_header(request, "Cookie");
    while (cookie) {
        cookie += strspn(cookie, "; ");
        if (string_begins_with(cookie, name)) {
            cookie += sizeof(name) - 1;
            return is_equal(cookie, strcspn(cookie, "; "), token);
        }
        cookie = strchr(cookie, ';');
    }
    return false;
}

/* The name in a Host header or an origin, without its port. */
static size_t host_length(const char *host)
{
    if (*host == '[')
        return strcspn(host, "]") + 1;
    return strcspn(host, ":/");
}

static bool is_own_name(const struct server_options *options, const char *host)
{
    static const char *const loopback[] = {"localhost", "127.0.0.1", "[::1]"};
    const size_t length = host_length(host);
    for (size_t i = 0; i < sizeof(loopback) / sizeof(*loopback); i++)
        if (strlen(loopback[i]) == length && !strncasecmp(host, loopback[i], length))
            return true;
    for (size_t i = 0; i < options->host_name_count; i++)
        if (strlen(options->host_names[i]) == length &&
            !strncasecmp(host, options->host_names[i], length))
            return true;
    return false;
}

/* Tells whether a request comes from a page of another origin. */
static bool is_foreign(const struct request *request)
{
    const char *origin = request_header(request, "Origin"), *host = request_header(request, "Host");
    const char *allowed = request->server->options.origin;
    if (!origin || (allowed && !strcmp(origin, allowed)))
        return false;
    const char *name = strstr(origin, "://");
    return !name || !host || strcasecmp(name + 3, host);
}

void trust_check(struct request *request)
{
    const struct server_options *options = &request->server->options;
    const char *host = request_header(request, "Host");
    if (request->is_local)
        return;
    if (is_foreign(request))
        answer_error(request, 403, "%s: this origin may not ask; see --cors",
                     request_header(request, "Origin"));
    else if (!(request->route->flags & ROUTE_OPEN) && !trust_has_token(request)) {
        answer_error(request, 401, "expected the server's token as 'Authorization: Bearer TOKEN'");
        answer_header(request, "WWW-Authenticate", "Bearer");
    } else if (!options->token && !options->no_auth && host && !is_own_name(options, host))
        answer_error(request, 403, "%s: the server is not known by this name; see --host", host);
}

void trust_add_headers(struct request *request)
{
    const char *allowed = request->server->options.origin;
    if (!allowed)
        return;
    answer_header(request, "Access-Control-Allow-Origin", allowed);
    answer_header(request, "Access-Control-Allow-Headers", "Authorization, Content-Type");
    answer_header(request, "Vary", "Origin");
}
