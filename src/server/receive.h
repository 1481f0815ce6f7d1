/* SPDX-License-Identifier: MIT
 *
 * A request's way: collects its body within the limits, refuses what may not be asked, hands the
 * rest to the pool, and sends the answer. http.c calls these functions on the threads of
 * libmicrohttpd; each tells whether the connection goes on.
 */
#ifndef VKCLIP_SERVER_RECEIVE_H
#define VKCLIP_SERVER_RECEIVE_H

#include "server/request.h"

/* NULL: out of memory. */
struct request *receive_begin(struct server *server, struct MHD_Connection *connection,
                              const char *path, const char *method, const char *version);
/* Takes the headers, which were all received. */
bool receive_headers(struct request *request);
bool receive_body(struct request *request, const char *data, size_t size);
/* The body was received, or the handler has given its answer. */
bool receive_end(struct request *request);
/* `complete` tells whether the client got the whole answer. */
void receive_close(struct request *request, bool complete);

#endif
