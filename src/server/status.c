/* SPDX-License-Identifier: MIT
 *
 * What those ask who watch the server.
 */
#define _GNU_SOURCE /* open_memstream */
#include "base/array.h"
#include "server/handlers.h"
#include "server/http.h"
#include "server/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void handle_health(struct request *request)
{
    const bool stopping = atomic_load(&request->server->stopping);
    answer_json(
        request, stopping ? 503 : 200,
        json_pack("{ss ss}", "status", stopping ? "stopping" : "ok", "version", vkclip_version()));
}

static void print_batches(struct server *server, FILE *out)
{
    static const char *const towers[] = {"image", "text"};
    struct batcher_counts counts;
    batcher_get_counts(server->batcher, &counts);
    fputs("# TYPE vkclip_batches_total counter\n# TYPE vkclip_batch_items_total counter\n"
          "# HELP vkclip_batch_seconds_total Time in which the device encoded.\n"
          "# TYPE vkclip_batch_seconds_total counter\n",
          out);
    for (size_t i = 0; i < ARRAY_COUNT(towers); i++)
        fprintf(out,
                "vkclip_batches_total{tower=\"%s\"} %llu\n"
                "vkclip_batch_items_total{tower=\"%s\"} %llu\n"
                "vkclip_batch_seconds_total{tower=\"%s\"} %.6f\n",
                towers[i], (unsigned long long)counts.batches[i], towers[i],
                (unsigned long long)counts.items[i], towers[i], counts.seconds[i]);
    fprintf(out,
            "# TYPE vkclip_waiting_items gauge\nvkclip_waiting_items %zu\n"
            "# TYPE vkclip_running_requests gauge\nvkclip_running_requests %zu\n"
            "# TYPE vkclip_connections gauge\nvkclip_connections %zu\n",
            counts.waiting, pool_count(server->pool), http_connections(server->http));
}

void handle_metrics(struct request *request)
{
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return;
    metrics_print(&request->server->metrics, out);
    print_batches(request->server, out);
    if (fclose(out))
        free(text);
    else
        answer_data(request, 200, "text/plain; version=0.0.4", text, size);
}
