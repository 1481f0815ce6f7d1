/* SPDX-License-Identifier: MIT
 *
 * Chooses by measuring which variant of the kernel table, with which tile, computes a node.
 *
 * Nodes for which the same kernel is the fastest form a shape class (tune_sample.h). Each class is
 * measured once per device, driver and table of kernels, when a plan is made in which it is a part
 * worth measuring, and the result is kept in the user's cache folder:
 *
 *     {"table": HASH, "device": NAME, "driver": NAME,
 *      "classes": {CLASS: {"kernel": CHOICE, "ms": {CHOICE: MILLISECONDS or null, ...},
 *                          "unsure": N, "checked": TIME}, ...}}
 *
 * where null stands for a choice that failed or whose result was wrong. A file that is damaged or
 * was written for another table is ignored and replaced. Where there is no cache folder, less time
 * is spent and the result lasts for the process.
 *
 * A choice replaces the fixed order (kernels.h) only if all of its runs were faster than all runs
 * of the fixed order's choice. If times disagree among themselves, because the machine was busy,
 * the fixed order stays, and a later process measures the class again ("unsure" counts the tries).
 * A choice that replaced the fixed order is compared with it again by later processes ("checked" is
 * the time of the last comparison), and goes if it is not faster then.
 *
 * A node gets the choice that was measured for its class, else the one that was measured for a
 * class of the same op and types, else the first of the fixed order. What the self-test finds wrong
 * is never chosen.
 *
 * VKCLIP_TUNE: `off` takes the fixed order; `on`, the default, measures where the work of a graph
 * is worth it; `force` measures every class that it meets once per process, even if its result is
 * known.
 */
#ifndef VKCLIP_RUNTIME_TUNE_H
#define VKCLIP_RUNTIME_TUNE_H

#include "runtime/kernels.h"
#include "runtime/selftest.h"
#include "runtime/tune_trial.h"

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
 * rest. Kernels that are new to the self-test are checked. If `tuner` is NULL nothing is measured
 * or checked and the fixed order decides. Fails with EDEVICE if all kernels of an op are wrong. */
int tune_choose(struct gpu *gpu, struct tuner *tuner, const struct graph *graph, double seconds,
                struct kernel_choice *choices);

/* Makes tune_choose give every node what a node of `graph` has that differs in its sizes only, so
 * that the self-test's model runs the pipelines of another plan. NULL ends this. */
void tune_lend(struct tuner *tuner, const struct graph *graph, const struct kernel_choice *choices);

struct selftest *tune_selftest(const struct tuner *tuner);

/* Calls `entry` for every known shape class, until one call returns nonzero. */
int tune_list(const struct tuner *tuner, vkclip_tuning_fn *entry, void *user);

/* For tests: adds a variant to the table, last in the fixed order. */
void tune_add_kernel(struct tuner *tuner, const struct kernel *kernel);
/* For tests: replaces the times that trials measure. */
void tune_set_clock(struct tuner *tuner, trial_clock_fn *clock, void *user);
/* For tests: returns how often a choice was run on the device to be measured. */
size_t tune_runs(const struct tuner *tuner);

#endif
