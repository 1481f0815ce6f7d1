/* SPDX-License-Identifier: MIT
 *
 * What the server's files share.
 */
#ifndef VKCLIP_SERVER_INTERNAL_H
#define VKCLIP_SERVER_INTERNAL_H

#include "server/batcher.h"
#include "server/gate.h"
#include "server/metrics.h"
#include "server/models.h"
#include "server/options.h"
#include "server/pool.h"
#include "server/quota.h"

struct comparison;
struct connections;
struct http;
struct results;
struct served_index;
struct workers;

/* Bytes of a request, and of its answer, that count for nothing in the quotas, so that large
 * requests and slow readers keep out no small ones. */
enum { SMALL_REQUEST = 64 << 10 };

struct server {
    struct server_options options; /* with defaults in place of zeros */
    struct connections *connections;
    struct pool *pool;
    struct quota bodies, answers; /* bytes of memory */
    struct workers *workers;      /* decode the pictures of one request */
    struct gate *decoding;        /* pictures at a time */
    struct gate *prepared;        /* bytes of pixel values that wait for the device */
    struct quota archives;        /* that are written or sent, because each takes disk space */
    struct quota archive_bytes;   /* of them */
    struct batcher *batcher;
    struct models *models;
    struct served_index *index;    /* NULL: none */
    struct results *results;       /* of searches */
    struct comparison *comparison; /* of the index's pictures; NULL: there is no index */
    struct metrics metrics;
    struct http *http;
    double silence;    /* seconds without a byte after which a connection is closed */
    int64_t started;   /* seconds since 1970 */
    uint64_t name_key; /* of the names of requests */
    bool no_model;     /* The server cannot start, because a model cannot be loaded. */
    atomic_uint_least64_t request_count;
    atomic_bool ending;   /* No new requests are taken. */
    atomic_bool stopping; /* Those that run are given up. */
};

#endif
