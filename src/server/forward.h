/* SPDX-License-Identifier: MIT
 *
 * Asks other servers: passes requests on that another one answers, and fetches pictures.
 */
#ifndef VKCLIP_SERVER_FORWARD_H
#define VKCLIP_SERVER_FORWARD_H

#include "server/request.h"

/* Sends the request to the server that --immich-upstream names, and its answer back, both byte for
 * byte. Without such a server the answer is 501. */
void forward_request(struct request *request);
/* Downloads a picture, if the server may, into memory of malloc. Addresses of this machine and of
 * private networks are refused, also behind redirections. `name` is for messages. */
int forward_fetch(struct request *request, const char *url, const char *name, void **data,
                  size_t *size);

#endif
