/* SPDX-License-Identifier: MIT
 *
 * What the page asks first, and how a browser keeps the token: in a cookie, because pictures of a
 * page are asked for without further headers. No script can read the cookie, and no page of another
 * site can have it sent.
 */
#include "base/error.h"
#include "server/handlers.h"
#include "server/index.h"
#include "server/internal.h"
#include "server/trust.h"

#include <stdio.h>

void handle_api(struct request *request)
{
    const struct server *server = request->server;
    const bool trusted = trust_has_token(request);
    json_t *json = json_pack("{ss sb sb}", "version", vkclip_version(), "token",
                             server->options.token != NULL, "trusted", trusted);
    if (json && trusted) {
        json_object_set_new(json, "index", json_boolean(server->index != NULL));
        json_object_set_new(json, "precision",
                            json_integer(server->options.model_params.precision));
        json_object_set_new(json, "weights", json_integer(server->options.model_params.weights));
        json_object_set_new(json, "compute", json_integer(server->options.model_params.compute));
        json_object_set_new(json, "max_body", json_integer((json_int_t)server->options.max_body));
    }
    answer_json(request, 200, json);
}

static void set_cookie(struct request *request, const char *token, const char *age)
{
    char cookie[1024];
    snprintf(cookie, sizeof(cookie), "vkclip_token=%s; Path=/; HttpOnly; SameSite=Strict%s%s",
             token, request->server->options.tls_certificate ? "; Secure" : "", age);
    answer_json(request, 200, json_pack("{}"));
    answer_header(request, "Set-Cookie", cookie);
    answer_header(request, "Cache-Control", "no-store");
}

void handle_session(struct request *request)
{
    json_t *body = request_json(request);
    if (!body)
        return;
    const char *token = json_string_value(json_object_get(body, "token"));
    if (!token || !trust_is_token(request->server, token))
        answer_error(request, 401, "this is not the server's token");
    else
        set_cookie(request, token, "");
    json_decref(body);
}

void handle_end_session(struct request *request)
{
    set_cookie(request, "", "; Max-Age=0");
}
