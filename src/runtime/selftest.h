/* SPDX-License-Identifier: MIT
 *
 * Finds kernels that give wrong numbers on the device at hand. Drivers miscompile kernels without
 * any error, and all variants of an op may share a mistake, so that only a reference that is
 * computed on the host shows it.
 *
 * Before a graph first runs, each choice of kernel in it is run on a small case of its own
 * (selftest_cases.h) with the very pipeline that the graph will use, and compared with the
 * reference (reference.h). A variant that is wrong is left out with one line in the log. Results
 * are kept in the user's cache folder beside the measurements (tune.h), in a file of the device,
 * the driver and its version:
 *
 *     {"table": HASH, "device": NAME, "driver": NAME, "checks": {CASE: SHARE, ...}}
 *
 * with a case of one kernel or a model of two layers (selftest_model.h), where SHARE is the largest
 * error as a share of its bound: above 1 the variant is wrong. With a known result nothing runs.
 * VKCLIP_CHECK=off checks only what is measured.
 */
#ifndef VKCLIP_RUNTIME_SELFTEST_H
#define VKCLIP_RUNTIME_SELFTEST_H

#include "runtime/kernels.h"

struct settings;

/* Holds what is known of the kernels of one GPU. */
struct selftest;

/* Reads what earlier processes found. It must be closed before its GPU. */
int selftest_open(struct gpu *gpu, const struct settings *settings, struct selftest **selftest);
void selftest_close(struct selftest **selftest);

/* Tells whether graphs are checked: VKCLIP_CHECK is not off. */
bool selftest_is_on(const struct selftest *selftest);
/* Tells whether a variant may be used: nothing wrong is known of it. */
bool selftest_allows(const struct selftest *selftest, const struct kernel *kernel);
/* Checks the choices of all nodes of a graph, and sets *all_right to whether none was found wrong;
 * if one was, selftest_allows excludes its variant from now on. */
int selftest_graph(struct selftest *selftest, const struct graph *graph,
                   const struct kernel_choice *choices, bool *all_right);
/* Checks one choice for a node. */
int selftest_choice(struct selftest *selftest, const struct graph *graph, const struct node *node,
                    const struct kernel_choice *choice, bool *right);

/* Records a check of something other than a kernel, and finds it again. A result that is not known
 * is negative. */
double selftest_known(const struct selftest *selftest, const char *key);
void selftest_record(struct selftest *selftest, const char *key, double share);

/* Checks every variant and tile that the device can run, of one op or, if `op` is NULL, of all,
 * whether or not they are known, and calls `entry` for each, until it returns nonzero. */
int selftest_all(struct selftest *selftest, const char *op, vkclip_check_fn *entry, void *user);

#endif
