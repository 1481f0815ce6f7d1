/* SPDX-License-Identifier: MIT
 *
 * Speaks HTTP by GNU libmicrohttpd.
 */
#ifndef VKCLIP_SERVER_HTTP_H
#define VKCLIP_SERVER_HTTP_H

#include <stdbool.h>

struct http;
struct server;

/* Reads the certificate and the key. */
int http_open(struct server *server, struct http **http);
/* Takes over a socket that listens, and begins to serve on it. Connections of a Unix socket are
 * trusted, because the permissions of its file decide who may connect. */
int http_listen(struct http *http, int socket, bool is_unix);
/* Takes no new connections; those that are open go on. */
void http_quiesce(struct http *http);
/* No job of the pool may be left. */
void http_close(struct http **http);

#endif
