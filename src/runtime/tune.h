/* SPDX-License-Identifier: MIT
 *
 * Chooses by measuring which variant of the kernel table, with which tile, computes a node.
 *
 * Nodes for which the same kernel is the fastest form a shape class (tune_sample.h). Each class is
 * measured once per device, driver and table of kernels, when a plan is made in which it is a part
 * worth measuring, and the result is kept in the user's cache folder:
 *
 *     {"table": HASH, "device": NAME, "driver": NAME,
 *      "classes": {CLASS: {"kernel": CHOICE, "ms": {CHOICE: MILLISECONDS or null, ...}}, ...}}
 *
 * where null stands for a choice that failed or whose result was wrong. A file that is damaged or
 * was written for another table is ignored and replaced.
 *
 * A node gets the choice that was measured for its class, else the one that was measured for a
 * class of the same op and types, else the first of the fixed order (kernels.h).
 *
 * VKCLIP_TUNE: `off` takes the fixed order; `on`, the default, measures where the work of a graph
 * is worth it and there is a cache folder to keep the result in; `force` measures every class that
 * it meets once per process, even if its result is known.
 */
#ifndef VKCLIP_RUNTIME_TUNE_H
#define VKCLIP_RUNTIME_TUNE_H

#include "runtime/kernels.h"

struct settings;

/* Holds what is known of the kernels of one GPU. */
struct tuner;

/* Reads what earlier processes measured. The tuner must be closed before its GPU. */
int tune_open(struct gpu *gpu, const struct settings *settings, struct tuner **tuner);
void tune_close(struct tuner **tuner);

/* Seconds that a plan may spend on measuring. An interactive user waits for them, whereas a
 * training run is long enough to make up for more. */
#define TUNE_SECONDS 2.0
#define TUNE_SECONDS_TRAINING 10.0

/* Chooses a kernel for every node of a graph, into choices[node]. Measures unknown classes for at
 * most `seconds`, or twice that for the first class of its op and types; the next plan measures the
 * rest. If `tuner` is NULL nothing is measured and the fixed order decides. */
void tune_choose(struct gpu *gpu, struct tuner *tuner, const struct graph *graph, double seconds,
                 struct kernel_choice *choices);

/* Calls `entry` for every known shape class, until one call returns nonzero. */
int tune_list(const struct tuner *tuner, vkclip_tuning_fn *entry, void *user);

/* For tests: adds a variant to the table, last in the fixed order. */
void tune_add_kernel(struct tuner *tuner, const struct kernel *kernel);
/* For tests: returns how often a choice was run on the device to be measured. */
size_t tune_runs(const struct tuner *tuner);

#endif
