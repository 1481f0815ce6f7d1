/* SPDX-License-Identifier: MIT
 *
 * Turns a list of nodes into something that runs: every tensor gets its place in one arena, every
 * node its kernel, and all of it is recorded once and replayed. A plan does not know what nodes
 * mean. Refuses graphs with weights that were not loaded, and nodes that the device has no kernel
 * for.
 */
#ifndef VKCLIP_RUNTIME_PLAN_H
#define VKCLIP_RUNTIME_PLAN_H

#include "vulkan/gpu.h"
#include "graph/graph.h"
#include "runtime/kernels.h"
#include "runtime/store.h"

struct plan;

/* Gives the bytes of the arena that the activations and inputs of a graph need, and the bytes that
 * no placement can do without, which is the most that is alive at one node. Allocates nothing on a
 * device. */
int plan_measure(const struct graph *graph, uint32_t alignment, uint64_t *arena, uint64_t *least);

struct tuner;

/* What a plan is made with; all of it must outlive the plan, except for the lists. */
struct plan_params {
    struct gpu *gpu;
    struct tuner *tuner;         /* chooses the kernels; NULL for the fixed order */
    double tuning_seconds;       /* that the choice may take, see tune_choose; 0: TUNE_SECONDS */
    const struct store *weights; /* where weights are found by name; NULL for a graph with none */
    const struct gpu_range *states; /* memory of the tensors of ROLE_STATE, by their index; NULL for
                                     * a graph with none. Ranges may overlap: nodes run one after
                                     * another, and a plan never writes there by itself */
    const int *outputs;  /* tensors to be read after a run: they are copied when they are */
    size_t output_count; /* computed, so that their memory is free for later tensors */
};

/* Plans and records `graph`, which the plan takes over (also on error; it is left empty). */
int plan_create(const struct plan_params *params, struct graph *graph, struct plan **plan);
void plan_destroy(struct plan **plan);

const struct graph *plan_graph(const struct plan *plan);
/* The kernel of each node. */
const struct kernel_choice *plan_choices(const struct plan *plan);
/* Bytes on the device and shared with it, without the weights. */
uint64_t plan_memory(const struct plan *plan);

/* Two runs may be under way, so that the host writes the inputs of the next run while the device
 * computes. For each run: plan_begin, plan_write, plan_submit; later plan_wait, plan_read. */
#define PLAN_RUNS 2
/* Makes place for the inputs of one more run; EINVALID where PLAN_RUNS are under way. A caller that
 * has no run under way may leave it out: the inputs are zero at first, and keep their values from
 * one run to the next. */
int plan_begin(struct plan *plan);
/* Writes input values for the next run, from element `first` on, converted to the tensor's type.
 * Several threads may write different elements at once. */
void plan_write(struct plan *plan, int tensor, uint64_t first, const float *values, uint64_t count);
void plan_write_ids(struct plan *plan, int tensor, uint64_t first, const int32_t *ids,
                    uint64_t count);
/* Submits a run with the inputs that were written. It begins when the runs under way are done. */
int plan_submit(struct plan *plan);
/* Waits for the oldest run under way. */
int plan_wait(struct plan *plan);
/* Submits a run and waits for it; no other may be under way. */
int plan_run(struct plan *plan);
/* Reads values of an output of the run that was waited for last, as fp32. */
void plan_read(const struct plan *plan, int tensor, uint64_t first, float *values, uint64_t count);
/* Runs once with the inputs of an earlier run, or zeros, while no run is under way, and gives the
 * device's seconds for each node. EUNSUPPORTED on a device that has no timestamps. */
int plan_profile(struct plan *plan, double *seconds);

#endif
