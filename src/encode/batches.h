/* SPDX-License-Identifier: MIT
 *
 * One call's items over one or several lanes: batches go to the lane that has them done first, two
 * are under way on each, and the host writes the next one's inputs meanwhile. Does not know what
 * the items are.
 */
#ifndef VKCLIP_ENCODE_BATCHES_H
#define VKCLIP_ENCODE_BATCHES_H

#include "encode/replica.h"
#include "base/workers.h"

#define ENCODE_LANES 16 /* at most */

/* Items of one length: those from the end of the group before to `end`. */
struct encode_group {
    uint32_t length; /* token positions; 0: the context, or pictures */
    size_t end;
};

#define ENCODE_LEFT_OUT 1

struct encode {
    enum tower tower;
    size_t count;
    const struct encode_group *groups; /* the last one ends with item count - 1 */
    bool hidden;
    void *user; /* given to all below */
    /* Writes an item's input to its place in a batch, or returns ENCODE_LEFT_OUT: its results will
     * mean nothing. On several threads at once where `parallel` is set; `thread` is for
     * lane_scratch. */
    int (*write)(void *user, struct lane *lane, const struct lane_plan *plan, size_t item,
                 uint32_t place, unsigned thread);
    bool parallel;
    /* Reads the results of `number` items; for several lanes at once, one thread for each. */
    int (*read)(void *user, const struct lane_plan *plan, size_t first, size_t number);
    /* Items done so far, on the caller's thread; may be NULL. */
    void (*progress)(void *user, size_t done);
};

/* What one of several lanes is at. */
struct encode_load {
    double speed;     /* items a second as measured; 0: not yet */
    size_t under_way; /* items */
    bool active;      /* may take more */
};
/* How many of `left` items lane `mine` should take next so that all end at the same time; 0:
 * another one has even one more done sooner. A lane whose speed is not known tries one item; the
 * last active lane takes all. */
size_t encode_share(const struct encode_load *loads, size_t count, size_t mine, size_t left);

/* `drivers`: a pool with a thread for every lane but one; `workers`: the one for the host's work.
 * Where a lane fails the others end what they are at. */
int encode_run(const struct encode *encode, struct lane *const *lanes, size_t lane_count,
               struct workers *drivers, struct workers *workers);

#endif
