/* SPDX-License-Identifier: MIT
 *
 * Records a node with the first choice that the device can run.
 */
#include "runtime/launch.h"

#include "base/error.h"

int launch_node(struct gpu *gpu, struct gpu_commands *commands, const struct graph *graph,
                const struct node *node, const struct gpu_range ranges[KERNEL_SLOTS],
                const struct kernel_choice *first)
{
    struct kernel_choice choices[KERNEL_CHOICES];
    int error = VKCLIP_EDEVICE;
    if (first && first->kernel)
        error = launch_choice(gpu, commands, graph, node, ranges, first);
    if (error != VKCLIP_EDEVICE)
        return error;
    /* Another variant may work if the driver cannot build the first choice. */
    size_t count = kernels_choices(gpu, graph, node, choices);
    for (size_t i = 0; i < count && error == VKCLIP_EDEVICE; i++)
        error = launch_choice(gpu, commands, graph, node, ranges, &choices[i]);
    if (!count)
        error = error_fail(VKCLIP_EUNSUPPORTED, "%s: no kernel for %s in %s on %s",
                           graph->tensors[node->out].name, op_name(node->op),
                           type_name(graph->tensors[node->out].type), gpu_info(gpu)->name);
    return error;
}
