/* SPDX-License-Identifier: MIT
 *
 * How each op is launched: one rule per op turns a node and a choice of kernel into workgroups,
 * specialization constants, push constants and bindings. A rule splits a node where the device
 * cannot bind all of a weight at once or where one submit would run too long. Refuses nodes whose
 * activations one binding cannot span or that need more workgroups than the device takes.
 */
#ifndef VKCLIP_RUNTIME_LAUNCH_H
#define VKCLIP_RUNTIME_LAUNCH_H

#include "runtime/kernels.h"

/* Records a node by one choice, or not at all: EDEVICE where the driver cannot build the kernel.
 * `ranges` are the memory of the node's tensors by slot; ranges of absent tensors are ignored. With
 * `commands` NULL nothing is recorded, but the pipelines that recording will need are announced
 * (gpu_pipeline_announce). */
int launch_choice(struct gpu *gpu, struct gpu_commands *commands, const struct graph *graph,
                  const struct node *node, const struct gpu_range ranges[KERNEL_SLOTS],
                  const struct kernel_choice *choice);
/* Records a node by `first`, unless that is NULL or has no kernel, and otherwise by the first
 * choice of the fixed order that the driver can build. */
int launch_node(struct gpu *gpu, struct gpu_commands *commands, const struct graph *graph,
                const struct node *node, const struct gpu_range ranges[KERNEL_SLOTS],
                const struct kernel_choice *first);

#endif
