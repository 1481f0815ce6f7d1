/* SPDX-License-Identifier: MIT
 *
 * Counts what the server does, and tells it in the text format of Prometheus.
 */
#ifndef VKCLIP_SERVER_METRICS_H
#define VKCLIP_SERVER_METRICS_H

#include "base/thread.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct request;
struct route;

enum { METRICS_BUCKETS = 14, METRICS_ROUTES = 64, METRICS_CLASSES = 6 };

/* Why requests are refused before a handler sees them, or given up. */
#define METRICS_REASONS(X)                                                      \
    X(TOKEN, "token")     /* They do not bring the server's token. */           \
    X(ORIGIN, "origin")   /* They come from a page of another origin. */        \
    X(HOST, "host")       /* They call the server by a name that it has not. */ \
    X(FRAMING, "framing") /* Where they end could be read in two ways. */       \
    X(LENGTH, "length")   /* The body or the URL is too long. */                \
    X(MEMORY, "memory")   /* All bodies or answers together take too much. */   \
    X(BUSY, "busy")       /* As many requests as may be are worked on. */       \
    X(TIME, "time")       /* Their time was over, or their client had gone. */

enum metrics_reason {
#define X(name, text) METRICS_##name,
    METRICS_REASONS(X)
#undef X
        METRICS_REASON_COUNT
};

/* How long requests of one route took, and how they ended. */
struct metrics_route {
    const struct route *route;          /* NULL: what no route has */
    uint64_t statuses[METRICS_CLASSES]; /* by the first digit of the status; 0: broken off */
    uint64_t buckets[METRICS_BUCKETS];
    uint64_t count;
    double seconds;
};

struct metrics {
    struct mutex lock; /* protects the first three */
    struct metrics_route routes[METRICS_ROUTES];
    size_t route_count;
    uint64_t received, sent; /* bytes of bodies */
    atomic_uint_least64_t rejected[METRICS_REASON_COUNT];
};

void metrics_open(struct metrics *metrics);
void metrics_close(struct metrics *metrics);
void metrics_count_request(struct metrics *metrics, const struct request *request, bool complete);
void metrics_reject(struct metrics *metrics, enum metrics_reason reason);
void metrics_print(struct metrics *metrics, FILE *out);
/* Prints the value of a label with its quotes. */
void metrics_print_label(const char *text, FILE *out);

#endif
