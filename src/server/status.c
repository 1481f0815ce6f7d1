/* SPDX-License-Identifier: MIT
 *
 * What those ask who watch the server.
 */
#include "server/handlers.h"
#include "server/internal.h"

#include <string.h>

void handle_health(struct request *request)
{
    const bool stopping = atomic_load(&request->server->stopping);
    answer_json(request, stopping ? 503 : 200,
                json_pack("{ss ss}", "status", stopping ? "stopping" : "ok", "version",
                          vkclip_version()));
}

void handle_metrics(struct request *request)
{
    char *text = metrics_print(request->server);
    if (text)
        answer_data(request, 200, "text/plain; version=0.0.4", text, strlen(text));
}
