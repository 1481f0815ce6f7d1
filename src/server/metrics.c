/* SPDX-License-Identifier: MIT */
#include "server/metrics.h"
#include "base/array.h"
#include "base/clock.h"
#include "server/request.h"
#include "server/routes.h"

#include <string.h>

/* Upper bounds of the buckets in seconds; the last bucket has the rest. */
static const double bounds[METRICS_BUCKETS - 1] = {.001, .0025, .005, .01, .025, .05, .1,
                                                   .25,  .5,    1,    2.5, 5,    10};

void metrics_open(struct metrics *metrics)
{
    memset(metrics, 0, sizeof(*metrics));
    mutex_init(&metrics->lock);
}

void metrics_close(struct metrics *metrics)
{
    mutex_destroy(&metrics->lock);
}

static struct metrics_route *find_row(struct metrics *metrics, const struct route *route)
{
    for (size_t i = 0; i < metrics->route_count; i++)
        if (metrics->routes[i].route == route)
            return &metrics->routes[i];
    if (metrics->route_count == METRICS_ROUTES)
        return &metrics->routes[METRICS_ROUTES - 1];
    struct metrics_route *row = &metrics->routes[metrics->route_count++];
    row->route = route;
    return row;
}

void metrics_count_request(struct metrics *metrics, const struct request *request, bool complete)
{
    const double seconds = clock_seconds() - request->began;
    const unsigned class = complete ? request->status / 100 % METRICS_CLASSES : 0;
    size_t bucket = 0;
    while (bucket < ARRAY_COUNT(bounds) && seconds > bounds[bucket])
        bucket++;
    mutex_lock(&metrics->lock);
    struct metrics_route *row = find_row(metrics, request->route);
    row->statuses[class]++;
    row->buckets[bucket]++;
    row->count++;
    row->seconds += seconds;
    metrics->received += request->received;
    metrics->sent += complete && strcmp(request->method, "HEAD") != 0 ? request->sent : 0;
    mutex_unlock(&metrics->lock);
}

void metrics_reject(struct metrics *metrics, enum metrics_reason reason)
{
    atomic_fetch_add(&metrics->rejected[reason], 1);
}

void metrics_print_label(const char *text, FILE *out)
{
    putc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\' || *text == '\n')
            putc('\\', out);
        putc(*text == '\n' ? 'n' : *text, out);
    }
    putc('"', out);
}

static void print_routes(struct metrics *metrics, FILE *out)
{
    fputs("# HELP vkclip_requests_total Requests by route and first digit of the status, 0 for "
          "those that were broken off.\n# TYPE vkclip_requests_total counter\n",
          out);
    for (size_t i = 0; i < metrics->route_count; i++) {
        const struct metrics_route *row = &metrics->routes[i];
        for (size_t k = 0; k < METRICS_CLASSES; k++)
            if (row->statuses[k])
                fprintf(out, "vkclip_requests_total{route=\"%s\",status=\"%zuxx\"} %llu\n",
                        row->route ? row->route->path : "", k,
                        (unsigned long long)row->statuses[k]);
    }
    fputs("# HELP vkclip_request_seconds Time from the headers of a request to the end of its "
          "answer.\n# TYPE vkclip_request_seconds histogram\n",
          out);
    for (size_t i = 0; i < metrics->route_count; i++) {
        const struct metrics_route *row = &metrics->routes[i];
        const char *path = row->route ? row->route->path : "";
        uint64_t sum = 0;
        for (size_t k = 0; k < METRICS_BUCKETS; k++) {
            sum += row->buckets[k];
            if (k < ARRAY_COUNT(bounds))
                fprintf(out, "vkclip_request_seconds_bucket{route=\"%s\",le=\"%g\"} %llu\n", path,
                        bounds[k], (unsigned long long)sum);
            else
                fprintf(out, "vkclip_request_seconds_bucket{route=\"%s\",le=\"+Inf\"} %llu\n", path,
                        (unsigned long long)sum);
        }
        fprintf(out,
                "vkclip_request_seconds_sum{route=\"%s\"} %.6f\n"
                "vkclip_request_seconds_count{route=\"%s\"} %llu\n",
                path, row->seconds, path, (unsigned long long)row->count);
    }
}

static void print_rejections(struct metrics *metrics, FILE *out)
{
    static const char *const reasons[] = {
#define X(name, text) [METRICS_##name] = text,
        METRICS_REASONS(X)
#undef X
    };
    fputs("# HELP vkclip_rejected_total Requests that were refused or given up.\n"
          "# TYPE vkclip_rejected_total counter\n",
          out);
    for (size_t i = 0; i < ARRAY_COUNT(reasons); i++)
        fprintf(out, "vkclip_rejected_total{reason=\"%s\"} %llu\n", reasons[i],
                (unsigned long long)atomic_load(&metrics->rejected[i]));
}

void metrics_print(struct metrics *metrics, FILE *out)
{
    mutex_lock(&metrics->lock);
    print_routes(metrics, out);
    fprintf(out,
            "# HELP vkclip_received_bytes_total Bytes of the bodies of requests.\n"
            "# TYPE vkclip_received_bytes_total counter\nvkclip_received_bytes_total %llu\n"
            "# HELP vkclip_sent_bytes_total Bytes of the bodies of complete answers.\n"
            "# TYPE vkclip_sent_bytes_total counter\nvkclip_sent_bytes_total %llu\n",
            (unsigned long long)metrics->received, (unsigned long long)metrics->sent);
    mutex_unlock(&metrics->lock);
    print_rejections(metrics, out);
}
