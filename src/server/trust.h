/* SPDX-License-Identifier: MIT
 *
 * Decides who may ask: a token in a header or a cookie, the names by which the server may be
 * called, and the origins whose pages may call it.
 */
#ifndef VKCLIP_SERVER_TRUST_H
#define VKCLIP_SERVER_TRUST_H

#include "server/request.h"

/* Answers what a browser asks before it lets a page of another origin ask (OPTIONS); nothing
 * happens to other requests. */
void trust_answer_preflight(struct request *request);
/* Answers a request that is refused; nothing happens to others. */
void trust_check(struct request *request);
/* Tells whether a request brings the server's token, or needs none. */
bool trust_has_token(const struct request *request);
/* Tells whether a text is the server's token. */
bool trust_is_token(const struct server *server, const char *text);
/* Adds the headers by which browsers let pages of `origin` read the answer. */
void trust_add_headers(struct request *request);

#endif
