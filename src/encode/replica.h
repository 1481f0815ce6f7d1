/* SPDX-License-Identifier: MIT
 *
 * Runs a model on one GPU: its weights, the plans of its towers, which are kept from call to call,
 * and its measured speed. Only one thread at a time may use a replica.
 */
#ifndef VKCLIP_ENCODE_REPLICA_H
#define VKCLIP_ENCODE_REPLICA_H

#include "checkpoint/weights.h"
#include "encode/device.h"
#include "image/decode.h"
#include "model/tower.h"
#include "runtime/plan.h"

/* Says what a model's graphs are built from. It must outlive the model's replicas. */
struct replica_spec {
    struct config config;
    enum type type;    /* type of the activations */
    enum type weights; /* type of the matrices and the token table */
    bool stream;       /* The weights of blocks take turns in two slots. */
    bool compute_f16;  /* Factors of fp32 may be rounded to fp16. */
};

bool replica_has_tower(const struct replica_spec *spec, enum tower tower);

/* Says which tower is to run for how many items, and what is wanted of it. */
struct replica_request {
    enum tower tower;
    uint32_t batch;
    /* Token positions of texts, where 0 means the whole context. A short length gives the same
     * embedding, because the text tower is causal: a text's end does not depend on later positions.
     */
    uint32_t length;
    bool on_device; /* The device writes the pictures: see plan_given. */
    bool hidden;    /* The tensors that replica_is_hidden names can be read after a run. */
    struct tower_features features;
};

/* Builds the graph of a tower. `tensors` may be NULL. */
int replica_graph(const struct replica_spec *spec, const struct replica_request *request,
                  struct graph *graph, struct tower_tensors *tensors);

struct replica;

/* Takes memory for the weights on GPU `number` of a device; they are uploaded when their tower is
 * first used. If `max_batch` is 0, the GPU's limits determine the largest batch. `device` and
 * `weights` must outlive the replica. */
int replica_open(struct vkclip_device *device, size_t number, const struct replica_spec *spec,
                 const struct weights *weights, uint32_t max_batch, struct replica **replica);
void replica_close(struct replica **replica);
/* Opens the replica's lost GPU again, where its weights will be uploaded again. All its plans are
 * gone. */
int replica_reopen(struct replica *replica);
struct gpu *replica_gpu(const struct replica *replica);
uint32_t replica_most_batch(const struct replica *replica, enum tower tower);
/* Lowers the largest batch, because a larger one did not fit in memory. */
void replica_lower_batch(struct replica *replica, enum tower tower, uint32_t most);

/* A plan, with the indices of its inputs and results. */
struct replica_plan {
    struct plan *plan;
    int input;      /* pictures, token ids, or rows of the token table */
    int values;     /* see struct tower_tensors; it has been written */
    int mask;       /* see struct tower_tensors */
    int rows;       /* where each text ends; -1 for pictures */
    int features;   /* -1: not requested */
    int seed;       /* see struct tower_tensors, as the next one */
    int relevance;  /* -1: not requested */
    int embeddings; /* embeddings before the division by their length; -1: not requested */
    int normalized; /* embeddings after the division by their length; -1: not requested */
};

/* Gets the plan for a request, ready for plan_write; at most PLAN_REPLAYS - 1 of its replays may be
 * under way. A returned plan stays valid until REPLICA_PLANS other plans have been requested. Fails
 * with EDEVICEMEMORY, which is not logged, where the device's memory is too small for a batch of
 * more than one; a batch of one then takes host memory. */
#define REPLICA_PLANS 8
int replica_get_plan(struct replica *replica, const struct replica_request *request,
                     const struct replica_plan **plan);
/* Tells whether vkclip_hidden_fn gets this tensor. */
bool replica_is_hidden(const struct tensor *tensor);

struct staging;
/* Returns what prepares pictures on the device (staging.h), until the replica is opened again. */
int replica_staging(struct replica *replica, struct staging **staging);

/* Memory that a thread keeps from one item to the next. */
struct replica_memory {
    struct scratch item, resize;
    struct image_memory decode;
};
/* Returns the memory of thread number `thread` of a pool of workers. */
#define REPLICA_THREADS 64
struct replica_memory *replica_memory(struct replica *replica, unsigned thread);

/* Returns the measured items per second of a tower, or 0 before the first run. */
double replica_speed(const struct replica *replica, enum tower tower);
/* Updates the measured speed by a run of `items`. */
void replica_record_run(struct replica *replica, enum tower tower, size_t items, double seconds);
/* Notes how many batches run on the replica's device from now on. */
void replica_note_running(const struct replica *replica, size_t running);

#endif
