/* SPDX-License-Identifier: MIT
 *
 * The measured choice: which row and tile a node gets. Each class of shapes is measured once on a
 * device with its driver, and what was found is kept in the user's cache folder. What was not
 * measured gets the first choice of the fixed order (kernels.h).
 *
 * VKCLIP_TUNE: `off` the fixed order; `on` (the default) measures, where a plan is made whose work
 * is worth it and there is a cache folder to keep the result in; `force` measures whatever it
 * meets, once a process, though it be known.
 */
#ifndef VKCLIP_RUNTIME_TUNE_H
#define VKCLIP_RUNTIME_TUNE_H

#include "runtime/kernels.h"

#define TUNE_SECONDS 2.0 /* the budget; twice that for the first classes of their kind */

/* Chooses for every node of a graph, into choices[node]. Measures what is not known, within the
 * budget. */
int tune_choose(struct gpu *gpu, const struct graph *graph, struct kernel_choice *choices);

/* What is known of a device, one call a class, until one returns nonzero. */
int tune_list(struct gpu *gpu, vkclip_tuning_fn *entry, void *user);

/* For tests: a row beside those of the table, last in the fixed order. */
int tune_add_kernel(struct gpu *gpu, const struct kernel *kernel);
/* Seconds that one call of tune_choose may measure, from now on. */
int tune_set_budget(struct gpu *gpu, double seconds);
/* For tests: runs of a device so far. */
size_t tune_runs(const struct gpu *gpu);

#endif
