/* SPDX-License-Identifier: MIT
 *
 * Launches ops: one rule per op turns a node and a choice of kernel into workgroups, specialization
 * constants, push constants and bindings. A rule splits a node if the device cannot bind all of a
 * weight at once or if one submit would run too long. Refuses nodes whose activations one binding
 * cannot span or that need more workgroups than the device takes.
 */
#ifndef VKCLIP_RUNTIME_LAUNCH_H
#define VKCLIP_RUNTIME_LAUNCH_H

#include "runtime/kernels.h"

/* Records a node with one choice of kernel. Returns EDEVICE, and records nothing, if the driver
 * cannot build the kernel. `ranges` are the memory of the node's tensors by slot; ranges of absent
 * tensors are ignored. If `commands` is NULL nothing is recorded, but the pipelines that recording
 * will need are announced (gpu_pipeline_announce). */
int launch_choice(struct gpu *gpu, struct gpu_commands *commands, const struct graph *graph,
                  const struct node *node, const struct gpu_range ranges[KERNEL_SLOTS],
                  const struct kernel_choice *choice);
/* Records a node with `first`. If that is NULL, has no kernel or cannot be built, the first choice
 * of the fixed order that the driver can build is used. */
int launch_node(struct gpu *gpu, struct gpu_commands *commands, const struct graph *graph,
                const struct node *node, const struct gpu_range ranges[KERNEL_SLOTS],
                const struct kernel_choice *first);

#endif
