/* SPDX-License-Identifier: MIT
 *
 * From a list of nodes to something that runs: every tensor gets its place in one arena, every node
 * its kernel, and the whole is recorded once and replayed. Does not know what the nodes mean.
 */
#ifndef VKCLIP_RUNTIME_PLAN_H
#define VKCLIP_RUNTIME_PLAN_H

#include "vulkan/gpu.h"
#include "graph/graph.h"
#include "runtime/kernels.h"
#include "runtime/store.h"

struct plan;

/* Bytes of the arena that the activations and inputs of a graph need, and the bytes below which no
 * placement can get (the most that is alive at one node). */
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
/* How each node is computed. */
const struct kernel_choice *plan_choices(const struct plan *plan);
/* Two runs may be under way, so that the host writes the next one's inputs while the device
 * computes: plan_begin, plan_write, plan_submit; plan_wait, plan_read. */
#define PLAN_RUNS 2
/* Makes place for the inputs of one run more. Where no run is under way it is optional, the inputs
 * are zero at first and keep their values from run to run. */
int plan_begin(struct plan *plan);
/* Input values for the next run, from element `first` on, converted to the tensor's type. Different
 * elements may be written by several threads at once. */
void plan_write(struct plan *plan, int tensor, uint64_t first, const float *values, uint64_t count);
void plan_write_ids(struct plan *plan, int tensor, uint64_t first, const int32_t *ids,
                    uint64_t count);
/* Runs with the inputs written, behind the runs under way. */
int plan_submit(struct plan *plan);
/* Waits for the oldest run under way. */
int plan_wait(struct plan *plan);
/* Runs and waits, with none under way. */
int plan_run(struct plan *plan);
/* Runs once with inputs of an earlier run, or zeros, none under way, and gives the device's seconds
 * for each node. EUNSUPPORTED on a device that has no timestamps. */
int plan_profile(struct plan *plan, double *seconds);
/* Bytes on the device and shared with it, without the weights. */
uint64_t plan_memory(const struct plan *plan);
/* Values of an output of the last run waited for, as fp32. */
void plan_read(const struct plan *plan, int tensor, uint64_t first, float *values, uint64_t count);

#endif
