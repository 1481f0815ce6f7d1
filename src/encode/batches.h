/* SPDX-License-Identifier: MIT
 *
 * One call's items over one or several replicas: batches go to the replica that has them done
 * first, two are under way on each, and the host writes the next one's inputs meanwhile. Does not
 * know what the items are.
 */
#ifndef VKCLIP_ENCODE_BATCHES_H
#define VKCLIP_ENCODE_BATCHES_H

#include "encode/replica.h"
#include "base/workers.h"

#define BATCHES_REPLICAS 16 /* at most */

/* Items of one length: those from the end of the group before to `end`. */
struct batches_group {
    uint32_t length; /* token positions; 0: the context, or pictures */
    size_t end;
};

#define BATCHES_LEFT_OUT 1

struct batches {
    enum tower tower;
    size_t count;
    const struct batches_group *groups; /* the last one ends with item count - 1 */
    bool hidden;
    void *user; /* given to all below */
    /* Writes an item's input to its place in a batch, or returns BATCHES_LEFT_OUT: its results will
     * mean nothing. On several threads at once where `parallel` is set; `thread` is for
     * replica_scratch. */
    int (*write)(void *user, struct replica *replica, const struct replica_plan *plan, size_t item,
                 uint32_t place, unsigned thread);
    bool parallel;
    /* Reads the results of `number` items; for several replicas at once, one thread for each. */
    int (*read)(void *user, const struct replica_plan *plan, size_t first, size_t number);
    /* Items done so far, on the caller's thread; may be NULL. */
    void (*progress)(void *user, size_t done);
};

/* What one of several replicas is at. */
struct batches_load {
    double speed;     /* items a second as measured; 0: not yet */
    size_t under_way; /* items */
    bool active;      /* may take more */
};
/* How many of `left` items replica `mine` should take next so that all end at the same time; 0:
 * another one has even one more done sooner. A replica whose speed is not known tries one item; the
 * last active replica takes all. */
size_t batches_share(const struct batches_load *loads, size_t count, size_t mine, size_t left);

/* `drivers`: a pool with a thread for every replica but one; `workers`: the one for the host's
 * work. Where a replica fails the others end what they are at. */
int batches_run(const struct batches *work, struct replica *const *replicas, size_t replica_count,
                struct workers *drivers, struct workers *workers);

#endif
