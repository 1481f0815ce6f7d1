/* SPDX-License-Identifier: MIT
 *
 * The functions of the rows in routes.c, one group per file.
 */
#ifndef VKCLIP_SERVER_HANDLERS_H
#define VKCLIP_SERVER_HANDLERS_H

#include "server/request.h"

/* status.c */
void handle_health(struct request *request);
void handle_metrics(struct request *request);
/* openai.c */
void handle_openai_models(struct request *request);
void handle_openai_embeddings(struct request *request);

#endif
