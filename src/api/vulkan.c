/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of vkclip_vulkan.h.
 */
#include "api/arguments.h"
#include "api/growth.h"
#include "api/guard.h"
#include "api/job.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/progress.h"
#include "encode/device.h"
#include "encode/renders.h"
#include "vkclip_vulkan.h"

int vkclip_get_vulkan_wants(const struct vkclip_vulkan_device *device,
                            struct vkclip_vulkan_wants *wants)
{
    if (!device || !wants)
        return error_fail(VKCLIP_EINVALID, "vkclip_get_vulkan_wants: device and wants expected");
    struct vkclip_vulkan_device full;
    int error = GROWTH_READ(vkclip_vulkan_device, &full, device);
    if (!error)
        error = GROWTH_CHECK(vkclip_vulkan_wants, wants);
    return error ? error : device_find_wants(&full, wants);
}

int vkclip_open_vulkan_device(const struct vkclip_device_params *params,
                              const struct vkclip_vulkan_device *lent,
                              struct vkclip_device **device)
{
    if (!device || !lent)
        return error_fail(VKCLIP_EINVALID, "vkclip_open_vulkan_device: lent and device expected");
    *device = NULL;
    struct vkclip_device_params full;
    struct vkclip_vulkan_device full_lent;
    int error = GROWTH_READ(vkclip_device_params, &full, params);
    if (!error)
        error = arguments_check_device(&full);
    if (!error)
        error = GROWTH_READ(vkclip_vulkan_device, &full_lent, lent);
    if (error)
        return error;
    struct progress progress;
    progress_begin(&progress, full.progress, full.user, 1);
    error = guard_open_device(device, device_open_lent(&full, &full_lent, device));
    return progress_end(&progress, error);
}

/* Encodes the images, or the buffers if `images` is NULL. */
static int encode_renders(const char *function, struct vkclip_model *model,
                          const struct vkclip_vulkan_image *images,
                          const struct vkclip_vulkan_buffer *buffers, size_t count,
                          const struct vkclip_encode_params *params, float *embeds)
{
    struct vkclip_encode_params full;
    struct turn turn;
    void *copies = NULL;
    int error = GROWTH_READ(vkclip_encode_params, &full, params);
    if (!error)
        error = job_refuse(function, &full);
    if (!error && images)
        error = GROWTH_READ_ALL(vkclip_vulkan_image, &copies, images, count);
    else if (!error)
        error = GROWTH_READ_ALL(vkclip_vulkan_buffer, &copies, buffers, count);
    if (!error)
        error = guard_enter_encoding(&turn, function, model, &full, count);
    turn.gives_way = false; /* What waits on the device for its pictures would wait for others. */
    if (!error)
        error = guard_leave(&turn, renders_encode(model, images ? copies : NULL,
                                                  images ? NULL : copies, count, &full, embeds));
    memory_free(copies);
    return error;
}

int vkclip_encode_vulkan_images(struct vkclip_model *model,
                                const struct vkclip_vulkan_image *images, size_t count,
                                const struct vkclip_encode_params *params, float *embeds)
{
    return encode_renders(__func__, model, images, NULL, count, params, embeds);
}

int vkclip_encode_vulkan_buffers(struct vkclip_model *model,
                                 const struct vkclip_vulkan_buffer *buffers, size_t count,
                                 const struct vkclip_encode_params *params, float *embeds)
{
    return encode_renders(__func__, model, NULL, buffers, count, params, embeds);
}
