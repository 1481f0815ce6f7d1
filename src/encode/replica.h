/* SPDX-License-Identifier: MIT
 *
 * A model on one GPU: its weights there, the plans of its towers, which are kept from call to call,
 * and how fast it was. Used by one thread at a time.
 */
#ifndef VKCLIP_ENCODE_REPLICA_H
#define VKCLIP_ENCODE_REPLICA_H

#include "checkpoint/weights.h"
#include "model/tower.h"
#include "runtime/plan.h"

/* What a model's graphs are made from; outlives its replicas. */
struct replica_spec {
    struct config config;
    enum type type, weights; /* of activations; of matrices and the token table */
};

bool replica_has_tower(const struct replica_spec *spec, enum tower tower);
/* The graph of a tower for `batch` items; texts of `length` token positions (0: the context). The
 * text tower is causal: what a text's end becomes does not depend on what comes behind it.
 * `tensors` may be NULL. */
int replica_graph(const struct replica_spec *spec, enum tower tower, uint32_t batch,
                  uint32_t length, struct graph *graph, struct tower_tensors *tensors);

struct replica;

/* Uploads the weights. `max_batch` 0: chosen from the device's limits. `gpu` and `tuner` must
 * outlive the replica. */
int replica_open(struct gpu *gpu, struct tuner *tuner, const struct replica_spec *spec,
                 const struct weights *weights, uint32_t max_batch, struct replica **replica);
void replica_close(struct replica **replica);
struct gpu *replica_gpu(const struct replica *replica);
uint32_t replica_most_batch(const struct replica *replica, enum tower tower);

/* A plan with the tensors that go in and out. */
struct replica_plan {
    struct plan *plan;
    int input, rows;            /* pictures, or ids and where each text ends */
    int embeddings, normalized; /* before and after the division by their length */
};

/* The plan for a tower, batch and length. One that was got stays until REPLICA_PLANS others are.
 * `hidden`: all tensors with a name that vkclip_hidden_fn is given can be read. */
#define REPLICA_PLANS 8
int replica_get_plan(struct replica *replica, enum tower tower, uint32_t batch, uint32_t length,
                     bool hidden, const struct replica_plan **plan);
bool replica_is_hidden(const struct tensor *tensor);

/* Memory of the replica for thread number `thread` of a group of workers, kept for the next use.
 * NULL with the error kept where there is none. */
#define REPLICA_THREADS 64
void *replica_scratch(struct replica *replica, unsigned thread, size_t bytes);

/* Measured items a second of a tower, 0 at first; what a run of `items` took is counted in. */
double replica_speed(const struct replica *replica, enum tower tower);
void replica_record_run(struct replica *replica, enum tower tower, size_t items, double seconds);

#endif
