/* SPDX-License-Identifier: MIT
 *
 * vkclip on a Vulkan device of the application: a renderer hands over its VkDevice with a queue,
 * and then pictures as VkImage or VkBuffer, so that their pixels never pass the host. Everything
 * else is as in vkclip.h. This header needs the headers of Vulkan; it compiles alone as C11 and as
 * C++17, and links nothing of Vulkan.
 *
 * What vkclip needs of the application's objects
 *   VkInstance        Vulkan 1.1 or later in VkApplicationInfo::apiVersion. No extension.
 *   VkDevice          Vulkan 1.1 or later. No feature and no extension is required; what makes it
 *                     faster is listed by vkclip_get_vulkan_wants. Models in fp16 need
 *                     storageBuffer16BitAccess. vkclip uses nothing that `features` and
 *                     `extensions` do not say to be enabled.
 *   VkQueue           of a family with VK_QUEUE_COMPUTE_BIT.
 *   VkImage           with VK_IMAGE_USAGE_TRANSFER_SRC_BIT, of one sample per pixel.
 *   VkBuffer          with VK_BUFFER_USAGE_TRANSFER_SRC_BIT.
 * vkclip never destroys what it was lent. All of it must stay until the device and all that was
 * opened on it are closed, and pictures until the call that takes them returns.
 */
#ifndef VKCLIP_VULKAN_H
#define VKCLIP_VULKAN_H

#include <vulkan/vulkan_core.h>

#include "vkclip.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- The device ------------------------------------------------------------------------------ */

/* A device of the application, and what it enabled when it created it. */
struct vkclip_vulkan_device {
    size_t size; /* sizeof(struct vkclip_vulkan_device) */
    /* The function by which the application finds Vulkan's functions; NULL: that of the system's
     * loader. An application with layers or a driver of its own gives its own. */
    PFN_vkGetInstanceProcAddr get_instance_proc_addr;
    VkInstance instance;
    uint32_t api_version; /* VkApplicationInfo::apiVersion of the instance */
    VkPhysicalDevice physical_device;
    VkDevice device;
    VkQueue queue; /* NULL: number `queue_index` of the family */
    uint32_t queue_family, queue_index;
    /* What was enabled: VkDeviceCreateInfo's ppEnabledExtensionNames, and its pNext from
     * VkPhysicalDeviceFeatures2 on, which may have the structs of single features and those of
     * Vulkan 1.1, 1.2 and 1.3. NULL: nothing. They are only read by vkclip_open_vulkan_device. */
    const char *const *extensions;
    uint32_t extension_count;
    const VkPhysicalDeviceFeatures2 *features;
    /* Called around each submit, on any thread that calls vkclip, because only one thread at a time
     * may use a queue. Both NULL: the application uses the queue only on the thread that calls
     * vkclip, or not at all during calls. vkclip holds the lock for no longer than a submit takes,
     * and never waits for the queue or the whole device. */
    void (*lock_queue)(void *user);
    void (*unlock_queue)(void *user);
    void *user; /* first argument of both */
};

/* What vkclip would use of a device if the application enabled it. */
struct vkclip_vulkan_wants {
    size_t size;                /* sizeof(struct vkclip_vulkan_wants) */
    const char *extensions[16]; /* for ppEnabledExtensionNames */
    uint32_t extension_count;
    /* For VkDeviceCreateInfo::pNext: all that the device has of what is wanted, chained. It lies in
     * `memory`, so that the struct must not be copied. An application with a chain of its own sets
     * the members of the same names there in place of this. */
    const VkPhysicalDeviceFeatures2 *features;
    uint32_t queue_family; /* the family that vkclip would choose */
    uint64_t memory[256];
};
/* Fills in what vkclip would use. `device` needs size, get_instance_proc_addr, instance,
 * api_version and physical_device. Errors: EINVALID, ENODEVICE (vkclip cannot use the device, and
 * the message says why), EUNSUPPORTED (Vulkan 1.0), EMEMORY. */
VKCLIP_API int vkclip_get_vulkan_wants(const struct vkclip_vulkan_device *device,
                                       struct vkclip_vulkan_wants *wants);

/* Opens the application's device, as vkclip_open_device opens one of vkclip's own. `params` may be
 * NULL; its `device` is not read, and `background` lowers only threads of the host, because the
 * application gave the queue its priority. A device that is lost stays lost: every call returns
 * ELOST, and the application closes the models and the device, and opens its own again.
 * Errors: EINVALID, ENODEVICE, EUNSUPPORTED, EDEVICE, EMEMORY. */
VKCLIP_API int vkclip_open_vulkan_device(const struct vkclip_device_params *params,
                                         const struct vkclip_vulkan_device *lent,
                                         struct vkclip_device **device);

/* ---- Pictures on the device ------------------------------------------------------------------ */

/* A picture in a VkImage, or a part of one.
 *   format    VK_FORMAT_R8G8B8A8_UNORM, R8G8B8A8_SRGB, B8G8R8A8_UNORM or B8G8R8A8_SRGB. The bytes
 *             are taken as they are, as those of a file, and alpha is ignored.
 *   layout    in which the image is, and in which it is left: not UNDEFINED, PREINITIALIZED or
 *             PRESENT_SRC_KHR.
 *   queue     Where `queue_family` is another than the device's and no VK_QUEUE_FAMILY_IGNORED,
 *             vkclip acquires the image from that family, which must have released it to the
 *             device's in `layout`, and releases it again, to be acquired in `layout`. It is one
 *             of the physical device, VK_QUEUE_FAMILY_EXTERNAL or VK_QUEUE_FAMILY_FOREIGN_EXT.
 *   waiting   vkclip reads the image after everything that was submitted before to the same queue,
 *             and after `wait` if that is not NULL; `signal` is signalled when it no longer needs
 *             the image. Values other than 0 are those of timeline semaphores, whose feature must
 *             be enabled. Without semaphores the image may be written when the call returns. */
struct vkclip_vulkan_image {
    size_t size; /* sizeof(struct vkclip_vulkan_image); the same in all of an array */
    VkImage image;
    VkFormat format;
    uint32_t x, y, width, height; /* of the picture in its mip level, in pixels */
    uint32_t mip_level, array_layer;
    VkImageLayout layout;
    uint32_t queue_family;
    VkSemaphore wait;
    uint64_t wait_value;
    VkSemaphore signal;
    uint64_t signal_value;
};

/* A picture in a VkBuffer, to which the above applies without the layout. It may also have the
 * formats R8G8B8_UNORM, R8G8B8_SRGB, B8G8R8_UNORM and B8G8R8_SRGB. */
struct vkclip_vulkan_buffer {
    size_t size; /* sizeof(struct vkclip_vulkan_buffer); the same in all of an array */
    VkBuffer buffer;
    VkDeviceSize offset; /* bytes before the first pixel */
    VkDeviceSize pitch;  /* bytes from one row to the next; 0: rows follow one another */
    VkFormat format;
    uint32_t width, height;
    uint32_t queue_family;
    VkSemaphore wait;
    uint64_t wait_value;
    VkSemaphore signal;
    uint64_t signal_value;
};

/* Encodes pictures that lie on the model's device, which must be the application's:
 * embeds [N,D]. They are copied, resized, cropped and normalised there, to the same values as
 * vkclip_encode_images gives the same pixels with three channels; none passes the host. Each call
 * prepares what it needs for pictures of one size, so that those of one size should follow one
 * another. It gives way to no other call, which would wait on the device for the same semaphores.
 * `params` may be NULL. Errors: EINVALID, EUNSUPPORTED (a format), EABSENT, EDEVICE, EDEVICEMEMORY,
 * ELOST, EMEMORY. */
VKCLIP_API int vkclip_encode_vulkan_images(struct vkclip_model *model,
                                           const struct vkclip_vulkan_image *images, size_t count,
                                           const struct vkclip_encode_params *params,
                                           float *embeds);
VKCLIP_API int vkclip_encode_vulkan_buffers(struct vkclip_model *model,
                                            const struct vkclip_vulkan_buffer *buffers,
                                            size_t count, const struct vkclip_encode_params *params,
                                            float *embeds);

#ifdef __cplusplus
}
#endif

#endif
