/* SPDX-License-Identifier: MIT
 *
 * What the server's files share.
 */
#ifndef VKCLIP_SERVER_INTERNAL_H
#define VKCLIP_SERVER_INTERNAL_H

#include "server/batcher.h"
#include "server/metrics.h"
#include "server/models.h"
#include "server/options.h"
#include "server/pool.h"

#include <stdatomic.h>

struct http;
struct served_index;
struct results;

struct server {
    struct server_options options; /* with defaults in place of zeros */
    struct pool *pool;
    struct batcher *batcher;
    struct models *models;
    struct served_index *index; /* NULL: none */
    struct results *results;    /* of searches */
    struct metrics metrics;
    struct http *http;
    int64_t started; /* seconds since 1970 */
    atomic_bool stopping;
};

#endif
