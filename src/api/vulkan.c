/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of vkclip_vulkan.h.
 */
#include "base/error.h"
#include "encode/device.h"
#include "encode/renders.h"
#include "vkclip_vulkan.h"

int vkclip_get_vulkan_wants(const struct vkclip_vulkan_device *device,
                            struct vkclip_vulkan_wants *wants)
{
    if (!device || !wants)
        return error_fail(VKCLIP_EINVALID, "vkclip_get_vulkan_wants: device and wants expected");
    return device_find_wants(device, wants);
}

int vkclip_open_vulkan_device(const struct vkclip_device_params *params,
                              const struct vkclip_vulkan_device *lent,
                              struct vkclip_device **device)
{
    if (!device || !lent)
        return error_fail(VKCLIP_EINVALID, "vkclip_open_vulkan_device: lent and device expected");
    return device_open_lent(params, lent, device);
}

int vkclip_encode_vulkan_images(struct vkclip_model *model,
                                const struct vkclip_vulkan_image *images, size_t count,
                                const struct vkclip_encode_params *params, float *embeds)
{
    return renders_encode(model, images, NULL, count, params, embeds);
}

int vkclip_encode_vulkan_buffers(struct vkclip_model *model,
                                 const struct vkclip_vulkan_buffer *buffers, size_t count,
                                 const struct vkclip_encode_params *params, float *embeds)
{
    return renders_encode(model, NULL, buffers, count, params, embeds);
}
