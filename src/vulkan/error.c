/* SPDX-License-Identifier: MIT
 *
 * Turns results of Vulkan into errors of the library, with a message that names the call.
 */
#include "vulkan/internal.h"

#include "base/error.h"

int vulkan_check(VkResult result, const char *call)
{
    switch (result) {
    case VK_SUCCESS:
    case VK_INCOMPLETE: /* A list grew after it was counted, as when a GPU is plugged in. */
        return VKCLIP_OK;
    case VK_ERROR_OUT_OF_HOST_MEMORY:
        return error_fail(VKCLIP_EMEMORY, "%s: out of host memory", call);
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
        return error_fail(VKCLIP_EDEVICEMEMORY, "%s: out of device memory", call);
    case VK_ERROR_DEVICE_LOST:
        return error_fail(VKCLIP_ELOST, "%s: device lost (the driver crashed or timed out)", call);
    default:
        return error_fail(VKCLIP_EDEVICE, "%s: failed with VkResult %d", call, (int)result);
    }
}
