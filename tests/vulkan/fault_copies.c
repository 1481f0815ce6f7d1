/* SPDX-License-Identifier: MIT
 *
 * Keeps submits in the order in which they came. One of another form than vkclip's is refused.
 */
#include "vulkan/fault_copies.h"

void copies_add_family(uint32_t capacity, uint32_t *count, VkQueueFamilyProperties *families)
{
    if (!families) {
        ++*count;
        return;
    }
    if (*count >= capacity)
        return;
    families[*count] = families[0];
    families[*count].queueFlags = VK_QUEUE_TRANSFER_BIT;
    families[*count].queueCount = 1;
    ++*count;
}

VkResult copies_keep(struct copies_queue *queue, uint32_t count, const VkSubmitInfo *infos,
                     VkFence fence)
{
    if (queue->count == COPIES_WAITING || count != 1 || infos->commandBufferCount != 1 ||
        infos->waitSemaphoreCount || infos->signalSemaphoreCount > 1)
        return VK_ERROR_UNKNOWN;
    queue->waiting[queue->count++] = (struct copies_submit){
        infos->pCommandBuffers[0],
        infos->signalSemaphoreCount ? infos->pSignalSemaphores[0] : VK_NULL_HANDLE, fence};
    return VK_SUCCESS;
}

VkResult copies_begin(struct copies_queue *queue, PFN_vkQueueSubmit submit, VkQueue real)
{
    VkResult result = VK_SUCCESS;
    for (unsigned i = 0; i < queue->count && result == VK_SUCCESS; i++) {
        const struct copies_submit *kept = &queue->waiting[i];
        const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                                   .commandBufferCount = 1,
                                   .pCommandBuffers = &kept->buffer,
                                   .signalSemaphoreCount = kept->signal ? 1 : 0,
                                   .pSignalSemaphores = &kept->signal};
        result = submit(real, 1, &info, kept->fence);
    }
    queue->count = 0;
    return result;
}
