/* SPDX-License-Identifier: MIT
 *
 * Turns a graph into commands: every tensor gets its place in an arena and every node its kernel,
 * and all nodes are recorded and replayed. A plan does not know what nodes mean. Refuses
 * graphs with weights that were not loaded, and nodes for which the device has no kernel.
 */
#ifndef VKCLIP_RUNTIME_PLAN_H
#define VKCLIP_RUNTIME_PLAN_H

#include "vulkan/gpu.h"
#include "graph/graph.h"
#include "runtime/arena.h"
#include "runtime/kernels.h"
#include "runtime/weight_store.h"

struct plan;

/* Counts the bytes of the arena for a graph's activations and inputs, and the most bytes that are
 * alive at one node, which every placement needs. Allocates nothing on a device. */
int plan_measure(const struct graph *graph, uint32_t alignment, bool separate_memory,
                 uint64_t *arena, uint64_t *least);

struct tuner;

/* Parameters of a plan. Everything except the lists must outlive the plan. */
struct plan_params {
    struct gpu *gpu;
    struct tuner *tuner;   /* chooses the kernels; NULL for the fixed order */
    struct arena *arena;   /* shared with other plans; NULL, or where memory must be separate: the
                            * plan has one of its own */
    double tuning_seconds; /* seconds that the choice may take, see tune_choose; 0: TUNE_SECONDS */
    const struct weight_store *weights; /* weights by name; NULL for a graph with none */
    const struct gpu_range *states; /* memory of the tensors of ROLE_STATE, by their index; NULL for
                                     * a graph with none. Ranges may overlap: nodes run one after
                                     * another, and a plan never writes there by itself */
    const int *outputs;  /* tensors to be read after a replay: they are copied when they are */
    size_t output_count; /* computed, so that their memory is free for later tensors */
    /* Fills the slot of a segment with its weights (weight_store.h), of which the device reads
     * nothing at that time; NULL: all weights stay where they are. plan_submit then returns when
     * the replay is done. */
    int (*fill)(void *filler, uint32_t segment);
    void *filler;
    /* An input that other commands of the device write before each replay, so that it lies in
     * memory which the host need not see; NULL: there is none. */
    const int *given;
};

/* Plans and records `graph`. The plan takes ownership of it, even after an error, and leaves it
 * empty. Fails with EDEVICEMEMORY where the arena does not fit; this is not logged if the arena is
 * of GPU_DEVICE. */
int plan_create(const struct plan_params *params, struct graph *graph, struct plan **plan);
void plan_destroy(struct plan **plan);

const struct graph *plan_graph(const struct plan *plan);
/* Returns the kernel of each node. */
const struct kernel_choice *plan_choices(const struct plan *plan);
/* Returns the bytes on the device and shared with it, without the weights, as if no other plan
 * shared the arena. */
uint64_t plan_memory(const struct plan *plan);

/* Counts the dispatches of a replay, and its commands that wait for the previous ones. */
void plan_count(const struct plan *plan, size_t *dispatches, size_t *barriers);

/* A replay is one execution of the recorded commands. Two replays may be under way, so that the
 * host writes the inputs of the next replay while the device computes. For each replay: plan_begin,
 * plan_write, plan_submit; later plan_wait, plan_read. */
#define PLAN_REPLAYS 2
/* Makes room for the inputs of one more replay, and records its commands again if the arena has
 * grown. Returns EINVALID if PLAN_REPLAYS are under way. A caller that has no replay under way may
 * omit this call. The inputs are zero at first, or
 * hold the values that their tensors have, and keep them from one replay to the next. */
int plan_begin(struct plan *plan);
/* Writes input values for the next replay, starting at element `first`, converted to the tensor's
 * type. Several threads may write different elements at once. */
void plan_write(struct plan *plan, int tensor, uint64_t first, const float *values, uint64_t count);
void plan_write_ids(struct plan *plan, int tensor, uint64_t first, const int32_t *ids,
                    uint64_t count);
/* Returns the memory of the given input for the next replay. */
struct gpu_range plan_given(const struct plan *plan);
/* Submits a replay with the inputs that were written. It begins after the replays under way are
 * done. */
int plan_submit(struct plan *plan);
/* Waits for the oldest replay under way. */
int plan_wait(struct plan *plan);
/* Submits a replay and waits for it. No other replay may be under way. */
int plan_run(struct plan *plan);
/* Reads values of an output as fp32, from the last replay for which plan_wait returned. */
void plan_read(const struct plan *plan, int tensor, uint64_t first, float *values, uint64_t count);
/* Replays once with the inputs of an earlier replay, or zeros, and gives the device's seconds for
 * each node. No replay may be under way. Returns EUNSUPPORTED if the device has no timestamps. */
int plan_profile(struct plan *plan, double *seconds);

#endif
