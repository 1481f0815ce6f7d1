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

struct settings;

/* What is known of the kernels of one GPU. */
struct tuner;

/* Reads what earlier processes measured. The tuner must be closed before its GPU. */
int tune_open(struct gpu *gpu, const struct settings *settings, struct tuner **tuner);
void tune_close(struct tuner **tuner);

/* Seconds that a plan may take for measuring where nobody waits for long, and before a run of
 * training, which is long enough to win the time back. */
#define TUNE_SECONDS 2.0
#define TUNE_SECONDS_TRAINING 10.0

/* Chooses for every node of a graph, into choices[node]. Measures what is not known for at most
 * `seconds`, or twice that for the first classes of their kind. `tuner` may be NULL: then nothing
 * is measured and the first choice of the fixed order is taken. */
void tune_choose(struct gpu *gpu, struct tuner *tuner, const struct graph *graph, double seconds,
                 struct kernel_choice *choices);

/* What is known of a device, one call per class, until one returns nonzero. */
int tune_list(const struct tuner *tuner, vkclip_tuning_fn *entry, void *user);

/* For tests: a row beside those of the table, last in the fixed order. */
void tune_add_kernel(struct tuner *tuner, const struct kernel *kernel);
/* For tests: runs of a device so far. */
size_t tune_runs(const struct tuner *tuner);

#endif
