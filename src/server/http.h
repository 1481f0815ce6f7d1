/* SPDX-License-Identifier: MIT
 *
 * Speaks HTTP by GNU libmicrohttpd: collects the bodies of requests within their limits, refuses
 * what may not be asked, hands the rest to the pool, and sends the answers.
 */
#ifndef VKCLIP_SERVER_HTTP_H
#define VKCLIP_SERVER_HTTP_H

#include <stdbool.h>
#include <stddef.h>

struct http;
struct server;

int http_open(struct server *server, struct http **http);
/* Takes over a socket that listens, and begins to serve on it. Connections of a Unix socket are
 * trusted, because the permissions of its file decide who may connect. */
int http_listen(struct http *http, int socket, bool is_unix);
/* Takes no new connections; those that are open go on. */
void http_quiesce(struct http *http);
/* Closes connections that have taken too long to send a request. Call it about once a second. */
void http_sweep(struct http *http);
/* Waits at most `seconds` until every answer was sent. */
void http_drain(struct http *http, double seconds);
/* No job of the pool may be left. */
void http_close(struct http **http);
size_t http_connections(const struct http *http);

#endif
