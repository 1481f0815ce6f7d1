/* SPDX-License-Identifier: MIT
 *
 * Counts what the server does, and tells it in the text format of Prometheus.
 */
#ifndef VKCLIP_SERVER_METRICS_H
#define VKCLIP_SERVER_METRICS_H

#include "base/thread.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct route;

enum { METRICS_BUCKETS = 14, METRICS_ROUTES = 64, METRICS_CLASSES = 6 };

/* How long requests of one route took, and how they ended. */
struct metrics_route {
    const struct route *route;          /* NULL: what no route has */
    uint64_t statuses[METRICS_CLASSES]; /* by the first digit of the status; 0: broken off */
    uint64_t buckets[METRICS_BUCKETS];
    uint64_t count;
    double seconds;
};

struct metrics {
    struct mutex lock;
    struct metrics_route routes[METRICS_ROUTES];
    size_t route_count;
};

void metrics_open(struct metrics *metrics);
void metrics_close(struct metrics *metrics);
void metrics_count_request(struct metrics *metrics, const struct route *route, unsigned status,
                           double seconds);
void metrics_print(struct metrics *metrics, FILE *out);

#endif
