/* SPDX-License-Identifier: MIT
 *
 * Distributes one call's items among one or several replicas: a batch goes to the replica that will
 * complete it first, two batches are in flight on each device, and meanwhile the host writes the
 * inputs of the next one. Does not know what the items are.
 */
#ifndef VKCLIP_ENCODE_BATCHES_H
#define VKCLIP_ENCODE_BATCHES_H

#include "encode/replica.h"
#include "base/workers.h"

#define BATCHES_REPLICAS 16 /* the most that a call can use */

/* Consecutive items of one length, from the end of the previous group up to `end`. */
struct batches_group {
    uint32_t length; /* token positions; 0 means the whole context, or that items are pictures */
    size_t end;
};

#define BATCHES_LEFT_OUT 1

struct batches {
    enum tower tower;
    size_t count;
    const struct batches_group *groups; /* The last group ends at `count`. */
    bool hidden;
    bool on_device; /* see struct replica_request */
    struct tower_features features;
    /* No item this many places after the first undelivered one is started, so that the caller can
     * keep results in a ring of this size. With 0 nothing is delivered, and nothing waits. */
    size_t window;
    void *user; /* first argument of the callbacks */
    /* Writes an item's input to its place in a batch, or returns BATCHES_LEFT_OUT, after which the
     * item's results are undefined. With `parallel` set it runs on several threads at once, and
     * `thread` selects the memory of replica_memory. */
    int (*write)(void *user, struct replica *replica, const struct replica_plan *plan, size_t item,
                 uint32_t place, unsigned thread);
    bool parallel;
    /* Reads the results of `number` items. Several replicas call it at once. */
    int (*read)(void *user, const struct replica_plan *plan, size_t first, size_t number);
    /* Takes complete items, including left-out ones, on the caller's thread: each item once and in
     * order. An error ends the call. */
    int (*deliver)(void *user, size_t first, size_t number);
    /* Tells on the caller's thread how many items are complete so far; may be NULL. An error ends
     * the call. */
    int (*progress)(void *user, size_t done);
};

/* Describes the work that one of several replicas has. */
struct batches_load {
    double speed;     /* measured items per second; 0: not measured yet */
    size_t in_flight; /* items */
    bool active;      /* The replica may take more items. */
};
/* Returns how many of `left` items replica `mine` should take next so that all replicas end at the
 * same time; 0 means that another replica completes one more item sooner. A replica of unknown
 * speed tries one item, and the last active replica takes everything. */
size_t batches_share(const struct batches_load *loads, size_t count, size_t mine, size_t left);

/* Runs all of the work. `drivers` is a pool with one thread per replica except the first, which the
 * caller's thread drives; `workers` is the pool for the host's work. When a replica fails, the
 * others complete their batches in flight and take no more. */
int batches_run(const struct batches *work, struct replica *const *replicas, size_t replica_count,
                struct workers *drivers, struct workers *workers);

#endif
