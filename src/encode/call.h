/* SPDX-License-Identifier: MIT
 *
 * Holds one call of a function that encodes: what the caller asked for, which items have failed,
 * and how results get from the device to the caller. Does not know how items are prepared.
 */
#ifndef VKCLIP_ENCODE_CALL_H
#define VKCLIP_ENCODE_CALL_H

#include "encode/batches.h"
#include "base/progress.h"
#include "encode/model.h"

/* Limits how many results wait for those of earlier items, so that their memory does not grow with
 * the number of items. With a smaller window a fast device would have to wait for a slow one. */
#define CALL_WINDOW 1024
/* Features are up to a thousand times larger than embeddings, so that fewer of them wait: as many
 * as fit in CALL_WINDOW_BYTES, but enough for several devices' batches in flight. */
#define CALL_WINDOW_BYTES ((size_t)64 << 20)
#define CALL_WINDOW_LEAST 64

struct call_failure {
    int error;     /* VKCLIP_OK: the item has not failed */
    char *message; /* NULL: there was no memory for it */
};

struct call {
    struct vkclip_model *model;
    struct vkclip_encode_params params;
    struct tower_features features; /* wanted in place of embeddings */
    float *embeds;                  /* [count,dim], the caller's memory or NULL */
    size_t count, dim;              /* `dim` is the number of values of one item's result */
    struct progress progress;       /* of items; begins with call_open and ends with call_close */

    size_t places; /* size of the window */
    /* These members are used only with an item function. Item i has place i % places. */
    float *window;                 /* [places,dim]; NULL if the caller has `embeds` */
    struct call_failure *failures; /* [places] */
};

/* Checks the arguments; `has_items` says whether the items are not NULL. `params` may be NULL.
 * Texts have `length` token positions, where 0 means the whole context.
 * call_close releases what the call holds, even after an error. */
int call_open(struct vkclip_model *model, enum tower tower, bool has_items, size_t count,
              uint32_t length, const struct vkclip_encode_params *params, float *embeds,
              struct call *call);
void call_close(struct call *call);

/* Stores this thread's last error as the item's. Returns VKCLIP_OK if the caller has an item
 * function, so that the call continues, and `error` otherwise. */
int call_fail_item(struct call *call, size_t item, int error);
bool call_has_failed(const struct call *call, size_t item);
/* Returns where an item's embedding [dim] is written. */
float *call_embedding(const struct call *call, size_t item);

/* Runs the batches on the model's replicas. If hidden states are wanted, only the first device is
 * used, so that they arrive in order. */
int call_run(struct call *call, struct batches *work);

/* Reads the results of batch places 0 to number - 1, which hold items[place] or, if `items` is
 * NULL, item first + place. Items that have failed are left out. */
int call_read(const struct call *call, const struct replica_plan *plan, size_t first,
              const size_t *items, size_t number);

/* Passes consecutive items to the caller's item function, if there is one. */
int call_deliver(struct call *call, size_t first, size_t number);
/* Tells the caller's progress function the number of complete items. Fails with ECANCELLED if the
 * function says so. */
int call_report(struct call *call, size_t done);

#endif
