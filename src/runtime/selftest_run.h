/* SPDX-License-Identifier: MIT
 *
 * Runs one choice on one case and compares the result with the reference. Everything around the
 * tensors must stay as it was, and several runs must give the same bits.
 */
#ifndef VKCLIP_RUNTIME_SELFTEST_RUN_H
#define VKCLIP_RUNTIME_SELFTEST_RUN_H

#include "runtime/kernels.h"
#include "runtime/op_case.h"

struct selftest_result {
    bool fits;     /* false: the kernel cannot compute the case, of which nothing is known then */
    bool computed; /* false: the driver cannot build the kernel */
    bool stable;   /* all runs gave the same bits, and none wrote outside its tensors */
    double error;  /* largest error as a share of its bound; INFINITY: not a number */
};

/* Each choice is run this often on the same values. A fault that strikes one run in twenty is seen
 * in one of three with a probability of 14 % for one kernel, and almost surely for the kernels of a
 * model together; more runs would delay the first start. */
#define SELFTEST_RUNS 3

/* Tells whether a kernel is right. One that does not fit its case counts as right. */
bool selftest_is_right(const struct selftest_result *result);
/* Announces the pipeline of a choice, so that gpu_pipelines_build can build many at once. */
void selftest_announce(struct gpu *gpu, const struct op_case *op_case,
                       const struct kernel_choice *choice);
/* Runs the case. Fails only for reasons that say nothing about the kernel, such as memory. */
int selftest_run(struct gpu *gpu, const struct op_case *op_case, const struct kernel_choice *choice,
                 struct selftest_result *result);

#endif
