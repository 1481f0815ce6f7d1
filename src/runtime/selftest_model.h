/* SPDX-License-Identifier: MIT
 *
 * Runs a small transformer of two layers as a plan and compares its result with the reference.
 * Single kernels may be right while a device reuses memory too early or reorders what it should
 * not: some drivers give wrong numbers only where a result lies in the memory of an earlier one.
 */
#ifndef VKCLIP_RUNTIME_SELFTEST_MODEL_H
#define VKCLIP_RUNTIME_SELFTEST_MODEL_H

#include "runtime/plan.h"
#include "runtime/tune.h"

/* Checks a plan that was made with this tuner before it first runs. The small model has the plan's
 * types, activation and width of heads, and uses its pipelines, so that none is built for it. It
 * runs once per device, driver and kind of model; graphs without attention, and those without a
 * tuner, are not checked. Fails with EDEVICE if the result is wrong. */
int selftest_plan(struct gpu *gpu, struct tuner *tuner, const struct plan *plan);

/* Checks the small model in fp32, and with 16-bit values if the device has them, and calls `entry`.
 */
int selftest_all_models(struct gpu *gpu, struct tuner *tuner, vkclip_check_fn *entry, void *user);

#endif
