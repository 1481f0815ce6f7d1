/* SPDX-License-Identifier: MIT
 *
 * Shares one call's items out among one or several replicas: a batch goes to the replica that will
 * complete it first, two batches are in flight on each device, and the host writes the inputs of
 * the next one meanwhile. It does not know what the items are.
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
    const struct batches_group *groups; /* The last one ends at `count`. */
    bool hidden;
    /* No item this many places behind the first one that is not delivered is started, so that the
     * caller can keep results in a ring of this size. 0: nothing is delivered, and nothing waits.
     */
    size_t window;
    void *user; /* the first argument of the functions below */
    /* Writes an item's input to its place in a batch, or returns BATCHES_LEFT_OUT, after which the
     * item's results are undefined. With `parallel` set it runs on several threads at once, and
     * `thread` chooses memory by replica_scratch. */
    int (*write)(void *user, struct replica *replica, const struct replica_plan *plan, size_t item,
                 uint32_t place, unsigned thread);
    bool parallel;
    /* Reads the results of `number` items. Several replicas call it at once. */
    int (*read)(void *user, const struct replica_plan *plan, size_t first, size_t number);
    /* Takes items that are complete, left-out ones included: on the caller's thread, in order, each
     * item once. An error ends the call. */
    int (*deliver)(void *user, size_t first, size_t number);
    /* Tells how many items are complete so far, on the caller's thread; may be NULL. */
    void (*progress)(void *user, size_t done);
};

/* The work that one of several replicas has. */
struct batches_load {
    double speed;     /* measured items per second; 0: not measured yet */
    size_t in_flight; /* items */
    bool active;      /* It may take more items. */
};
/* How many of `left` items replica `mine` should take next so that all replicas end at the same
 * time; 0 means that another replica completes one more item sooner. A replica whose speed is
 * unknown tries one item, and the last active replica takes everything. */
size_t batches_share(const struct batches_load *loads, size_t count, size_t mine, size_t left);

/* `drivers` is a pool with one thread per replica except the first, which the caller's thread
 * drives; `workers` is the pool for the host's work. When a replica fails, the others complete
 * their batches in flight and take no more. */
int batches_run(const struct batches *work, struct replica *const *replicas, size_t replica_count,
                struct workers *drivers, struct workers *workers);

#endif
