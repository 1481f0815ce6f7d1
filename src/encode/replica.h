/* SPDX-License-Identifier: MIT
 *
 * A model on one GPU: its weights, the plans of its towers, which are kept from call to call, and
 * its measured speed. One thread at a time may use a replica.
 */
#ifndef VKCLIP_ENCODE_REPLICA_H
#define VKCLIP_ENCODE_REPLICA_H

#include "checkpoint/weights.h"
#include "model/tower.h"
#include "runtime/plan.h"

/* What a model's graphs are built from. It must outlive the model's replicas. */
struct replica_spec {
    struct config config;
    enum type type;    /* of the activations */
    enum type weights; /* of the matrices and the token table */
};

bool replica_has_tower(const struct replica_spec *spec, enum tower tower);
/* Builds the graph of a tower for `batch` items; texts have `length` token positions, where 0 means
 * the whole context. A short length gives the same embedding, because the text tower is causal: a
 * text's end does not depend on the positions behind it. `tensors` may be NULL. */
int replica_graph(const struct replica_spec *spec, enum tower tower, uint32_t batch,
                  uint32_t length, struct graph *graph, struct tower_tensors *tensors);

struct replica;

/* Uploads the weights. With `max_batch` 0 the device's limits decide on the largest batch. `gpu`
 * and `tuner` must outlive the replica. */
int replica_open(struct gpu *gpu, struct tuner *tuner, const struct replica_spec *spec,
                 const struct weights *weights, uint32_t max_batch, struct replica **replica);
void replica_close(struct replica **replica);
struct gpu *replica_gpu(const struct replica *replica);
uint32_t replica_most_batch(const struct replica *replica, enum tower tower);

/* A plan, with the indices of its inputs and results. */
struct replica_plan {
    struct plan *plan;
    int input;      /* pictures, or token ids */
    int rows;       /* where each text ends; -1 for pictures */
    int embeddings; /* before the division by their length */
    int normalized; /* after it */
};

/* Gets the plan for a tower, batch and length. A returned plan stays valid until REPLICA_PLANS
 * other plans have been requested. With `hidden`, the tensors that replica_is_hidden names can be
 * read after a run. */
#define REPLICA_PLANS 8
int replica_get_plan(struct replica *replica, enum tower tower, uint32_t batch, uint32_t length,
                     bool hidden, const struct replica_plan **plan);
/* Whether vkclip_hidden_fn gets this tensor. */
bool replica_is_hidden(const struct tensor *tensor);

/* Memory for thread number `thread` of a pool of workers, which the replica keeps for the next use.
 * NULL after error_fail where there is no memory. */
#define REPLICA_THREADS 64
void *replica_scratch(struct replica *replica, unsigned thread, size_t bytes);

/* The measured items per second of a tower, 0 before the first run. */
double replica_speed(const struct replica *replica, enum tower tower);
/* Counts a run of `items` in the speed. */
void replica_record_run(struct replica *replica, enum tower tower, size_t items, double seconds);

#endif
