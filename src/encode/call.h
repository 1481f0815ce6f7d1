/* SPDX-License-Identifier: MIT
 *
 * One call of a function that encodes: what the caller asked for, which items have failed, and the
 * way of the results from the device to the caller. It does not know how items are prepared.
 */
#ifndef VKCLIP_ENCODE_CALL_H
#define VKCLIP_ENCODE_CALL_H

#include "encode/batches.h"
#include "encode/model.h"

/* Results that wait for those of earlier items, at most. Their memory does not grow with the number
 * of items; a smaller window would let a fast device wait for a slow one. */
#define CALL_WINDOW 1024

struct call_failure {
    int error;     /* VKCLIP_OK: the item has not failed. */
    char *message; /* NULL: there was no memory for it. */
};

struct call {
    struct vkclip_model *model;
    struct vkclip_encode_params params;
    float *embeds; /* [count,dim] of the caller, or NULL */
    size_t count, dim;
    size_t reported; /* what the caller's progress function was told last */

    /* Only with an item function. Item i has place i % CALL_WINDOW. */
    float *window;                 /* [CALL_WINDOW,dim]; NULL where the caller has `embeds` */
    struct call_failure *failures; /* [CALL_WINDOW] */
};

/* Checks the arguments, of which `has_items` says whether the items are not NULL. `params` may be
 * NULL. call_close releases what the call holds, also after an error. */
int call_open(struct vkclip_model *model, enum tower tower, bool has_items, size_t count,
              const struct vkclip_encode_params *params, float *embeds, struct call *call);
void call_close(struct call *call);

/* Makes this thread's last error the item's. Returns VKCLIP_OK if the caller has an item function,
 * so that the call continues, and else `error`. */
int call_fail_item(struct call *call, size_t item, int error);
bool call_has_failed(const struct call *call, size_t item);
/* Where an item's embedding [dim] goes. */
float *call_embedding(const struct call *call, size_t item);

/* Runs the batches on the model's replicas. Hidden states arrive in order because they come from
 * the first device alone. */
int call_run(struct call *call, struct batches *work);

/* Reads the results of batch places 0 to number - 1, which hold the items[place] or, with `items`
 * NULL, items first + place. Items that have failed are left out. */
int call_read(const struct call *call, const struct replica_plan *plan, size_t first,
              const size_t *items, size_t number);

/* Hands consecutive items to the caller's item function, if there is one. */
int call_deliver(struct call *call, size_t first, size_t number);
/* Tells the caller's progress function, if that is news. */
void call_report(struct call *call, size_t done);

#endif
