/* SPDX-License-Identifier: MIT
 *
 * Makes a device with one queue look as if it had a second one, of a family for copies alone. What
 * is submitted there begins as late as Vulkan allows: when a submit to the real queue waits for a
 * semaphore, or when the host waits. A program that forgets to wait for its copies reads memory
 * that they have not written.
 */
#ifndef VKCLIP_TESTS_FAULT_COPIES_H
#define VKCLIP_TESTS_FAULT_COPIES_H

#include <stdbool.h>

#include <vulkan/vulkan.h>

enum { COPIES_WAITING = 16 };

/* A submit of one command buffer that has not begun. */
struct copies_submit {
    VkCommandBuffer buffer;
    VkSemaphore signal;
    VkFence fence;
};

struct copies_queue {
    void *dispatch; /* comes first, as in every handle of a queue */
    struct copies_submit waiting[COPIES_WAITING];
    unsigned count;
};

/* Adds the family for copies to those of a device, of which `capacity` can be listed. */
void copies_add_family(uint32_t capacity, uint32_t *count, VkQueueFamilyProperties *families);
/* Keeps a submit for later. */
VkResult copies_keep(struct copies_queue *queue, uint32_t count, const VkSubmitInfo *infos,
                     VkFence fence);
/* Begins everything that was kept, on the real queue. */
VkResult copies_begin(struct copies_queue *queue, PFN_vkQueueSubmit submit, VkQueue real);

#endif
