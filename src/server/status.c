/* SPDX-License-Identifier: MIT
 *
 * What those ask who watch the server.
 */
#define _GNU_SOURCE /* open_memstream */
#include "base/array.h"
#include "server/access_log.h"
#include "server/connections.h"
#include "server/handlers.h"
#include "server/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_DEVICES = 16 };

void handle_health(struct request *request)
{
    struct batcher_counts counts;
    batcher_get_counts(request->server->batcher, &counts);
    const bool ending = atomic_load(&request->server->ending);
    const char *status = ending ? "stopping" : counts.lost ? "device lost" : "ok";
    answer_json(request, ending || counts.lost ? 503 : 200,
                json_pack("{ss ss}", "status", status, "version", vkclip_version()));
    if (ending || counts.lost)
        answer_header(request, "Retry-After", "1");
}

/* ---- Metrics ------------------------------------------------------------------------------------- */

static void print_head(FILE *out, const char *name, const char *type, const char *help)
{
    fprintf(out, "# HELP vkclip_%s %s\n# TYPE vkclip_%s %s\n", name, help, name, type);
}

static void print_gauge(FILE *out, const char *name, const char *help, double value)
{
    print_head(out, name, "gauge", help);
    fprintf(out, "vkclip_%s %.15g\n", name, value);
}

static void print_sizes(FILE *out, const char *tower, const struct batcher_counts *counts,
                        size_t number)
{
    static const char name[] = "vkclip_batch_size";
    uint64_t sum = 0;
    for (size_t i = 0; i < BATCHER_SIZES; i++) {
        char bound[16] = "+Inf";
        sum += counts->sizes[number][i];
        if (i < BATCHER_SIZES - 1)
            snprintf(bound, sizeof(bound), "%d", 1 << i);
        fprintf(out, "%s_bucket{tower=\"%s\",le=\"%s\"} %llu\n", name, tower, bound,
                (unsigned long long)sum);
    }
    fprintf(out, "%s_sum{tower=\"%s\"} %llu\n%s_count{tower=\"%s\"} %llu\n", name, tower,
            (unsigned long long)counts->items[number], name, tower, (unsigned long long)sum);
}

static void print_batches(struct server *server, FILE *out)
{
    static const char *const towers[] = {"image", "text"};
    struct batcher_counts counts;
    batcher_get_counts(server->batcher, &counts);
    print_head(out, "batches_total", "counter", "Batches that the device encoded.");
    for (size_t i = 0; i < ARRAY_COUNT(towers); i++)
        fprintf(out, "vkclip_batches_total{tower=\"%s\"} %llu\n", towers[i],
                (unsigned long long)counts.batches[i]);
    print_head(out, "batch_items_total", "counter", "Texts or pictures in batches.");
    for (size_t i = 0; i < ARRAY_COUNT(towers); i++)
        fprintf(out, "vkclip_batch_items_total{tower=\"%s\"} %llu\n", towers[i],
                (unsigned long long)counts.items[i]);
    print_head(out, "batch_seconds_total", "counter", "Time in which the device encoded.");
    for (size_t i = 0; i < ARRAY_COUNT(towers); i++)
        fprintf(out, "vkclip_batch_seconds_total{tower=\"%s\"} %.6f\n", towers[i],
                counts.seconds[i]);
    print_head(out, "batch_size", "histogram", "Texts or pictures of one batch.");
    for (size_t i = 0; i < ARRAY_COUNT(towers); i++)
        print_sizes(out, towers[i], &counts, i);
    print_gauge(out, "waiting_items", "Texts and pictures that wait for a batch.",
                (double)counts.waiting);
    print_gauge(out, "device_lost", "1 if the device was lost when it was last used.", counts.lost);
}

static void print_devices(struct server *server, FILE *out)
{
    struct vkclip_device_info infos[MOST_DEVICES] = {{.size = sizeof(*infos)}};
    size_t count = 0;
    vkclip_get_device_infos(server->options.device, infos, MOST_DEVICES, &count);
    print_head(out, "device_busy_seconds_total", "counter",
               "Time in which batches ran on each device.");
    for (size_t i = 0; i < count && i < MOST_DEVICES; i++) {
        fputs("vkclip_device_busy_seconds_total{device=", out);
        metrics_print_label(infos[i].name, out);
        fprintf(out, ",number=\"%u\"} %.6f\n", infos[i].index, infos[i].busy);
    }
}

struct model_list {
    FILE *out;
    size_t count;
    uint64_t bytes;
};

/* Is a models_list_fn. */
static void print_model(void *user, const char *name, const struct loaded_model *loaded)
{
    struct model_list *list = user;
    /* A model is listed by its aliases, too. */
    if (!loaded || name != loaded->name)
        return;
    fputs("vkclip_model_bytes{model=", list->out);
    metrics_print_label(name, list->out);
    fprintf(list->out, "} %llu\n", (unsigned long long)loaded->info.weights_bytes);
    list->count++;
    list->bytes += loaded->info.weights_bytes;
}

static void print_models(struct server *server, FILE *out)
{
    struct model_list list = {.out = out};
    print_head(out, "model_bytes", "gauge", "Weights of each model that is open.");
    models_list(server->models, print_model, &list);
    print_head(out, "models_opened_total", "counter", "How many times a model was opened.");
    fprintf(out, "vkclip_models_opened_total %llu\n",
            (unsigned long long)models_count_opened(server->models));
    print_gauge(out, "models", "Models that are open.", (double)list.count);
    print_gauge(out, "models_bytes", "Weights of all models that are open.", (double)list.bytes);
}

static void print_memory(struct server *server, FILE *out)
{
    print_gauge(out, "running_requests", "Requests that are worked on.",
                (double)pool_count(server->pool));
    print_gauge(out, "connections", "Open connections.",
                (double)connections_count(server->connections));
    print_gauge(out, "body_bytes", "Memory of the bodies of requests.",
                (double)atomic_load(&server->bodies.used));
    print_gauge(out, "answer_bytes", "Memory of answers that are being sent.",
                (double)atomic_load(&server->answers.used));
    print_head(out, "access_log_lost_total", "counter", "Lines of the log that were not written.");
    fprintf(out, "vkclip_access_log_lost_total %llu\n", (unsigned long long)access_log_lost());
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
    print_devices(request->server, out);
    print_models(request->server, out);
    print_memory(request->server, out);
    if (fclose(out))
        free(text);
    else
        answer_data(request, 200, "text/plain; version=0.0.4", text, size);
}
