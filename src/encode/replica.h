/* SPDX-License-Identifier: MIT
 *
 * A model on one GPU: its weights there, the plans of its towers, which are kept from call to call,
 * and how fast it was. Used by one thread at a time.
 */
#ifndef VKCLIP_ENCODE_REPLICA_H
#define VKCLIP_ENCODE_REPLICA_H

#include "model/tower.h"
#include "runtime/plan.h"

enum tower { TOWER_IMAGE, TOWER_TEXT, TOWER_COUNT };

/* What a model's graphs are made from; outlives its lanes. */
struct lane_model {
    struct config config;
    enum type type, weights; /* of activations; of matrices and the token table */
};

bool lane_has_tower(const struct lane_model *model, enum tower tower);
/* The graph of a tower for `batch` items; texts of `length` token positions (0: the context). The
 * text tower is causal: what a text's end becomes does not depend on what comes behind it. */
int lane_graph(const struct lane_model *model, enum tower tower, uint32_t batch, uint32_t length,
               struct graph *graph);

struct lane;

/* Uploads the weights. `max_batch` 0: chosen from the device's limits. */
int lane_open(struct gpu *gpu, const struct lane_model *model, const struct weights *weights,
              uint32_t max_batch, struct lane **lane);
void lane_close(struct lane **lane);
struct gpu *lane_gpu(const struct lane *lane);
uint32_t lane_most_batch(const struct lane *lane, enum tower tower);

/* A plan with the tensors that go in and out. */
struct lane_plan {
    struct plan *plan;
    int input, rows;            /* pictures, or ids and where each text ends */
    int embeddings, normalized; /* before and after the division by their length */
};

/* The plan for a tower, batch and length. One that was got stays until LANE_PLANS others are.
 * `hidden`: all tensors with a name that vkclip_hidden_fn is given can be read. */
#define LANE_PLANS 8
int lane_get_plan(struct lane *lane, enum tower tower, uint32_t batch, uint32_t length, bool hidden,
                  const struct lane_plan **plan);
bool lane_is_hidden(const struct tensor *tensor);

/* Memory of the lane for thread number `thread` of a group of workers, kept for the next use. NULL
 * with the error kept where there is none. */
#define LANE_THREADS 64
void *lane_scratch(struct lane *lane, unsigned thread, size_t bytes);

/* Measured items a second of a tower, 0 at first; what a run of `items` took is counted in. */
double lane_speed(const struct lane *lane, enum tower tower);
void lane_count_run(struct lane *lane, enum tower tower, size_t items, double seconds);

#endif
