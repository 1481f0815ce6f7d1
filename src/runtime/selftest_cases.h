/* SPDX-License-Identifier: MIT
 *
 * Defines the cases on which the self-test computes each op. A case is small enough for the
 * reference to compute in milliseconds, and large enough that every invocation of a workgroup
 * computes a value: its rows are a whole tile and three more. Knows nothing of results.
 */
#ifndef VKCLIP_RUNTIME_SELFTEST_CASES_H
#define VKCLIP_RUNTIME_SELFTEST_CASES_H

#include "runtime/kernels.h"
#include "runtime/op_case.h"

/* These are the cases that vkclip_check_device computes with every variant of their op. */
extern const struct op_case selftest_cases[];
extern const size_t selftest_case_count;

/* Fits a case to a choice: as many rows and columns as its workgroup covers, and a few more. */
void selftest_fit_case(const struct gpu *gpu, const struct kernel_choice *choice,
                       struct op_case *op_case);
/* Makes the case of a node. What a pipeline is specialised for is the node's own, such as its
 * activation and the width of its heads, so that the case runs the very pipeline that the node will
 * run; sizes that every pipeline takes are cut down. */
void selftest_node_case(const struct gpu *gpu, const struct graph *graph, const struct node *node,
                        const struct kernel_choice *choice, struct op_case *op_case);

/* Writes a text that identifies a choice on a case: its variant, types, tile as cut down, shape and
 * options. It begins with selftest_variant_name. */
#define SELFTEST_KEY 240
void selftest_key(const struct op_case *op_case, const struct kernel_choice *choice,
                  char key[SELFTEST_KEY]);
/* Writes the name of a variant with its types, which ends with a space. */
#define SELFTEST_VARIANT 64
void selftest_variant_name(const struct kernel *kernel, char name[SELFTEST_VARIANT]);

#endif
