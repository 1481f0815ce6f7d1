/* SPDX-License-Identifier: MIT
 *
 * An android.hardware.HardwareBuffer as an image on a Vulkan device of our own.
 */
#ifndef VKCLIP_JNI_HARDWARE_BUFFER_H
#define VKCLIP_JNI_HARDWARE_BUFFER_H

#include "own_device.h"

#include <jni.h>

/* The extensions of a device that the import needs. NULL: this build cannot import. */
const char *const *hardware_buffer_extensions(size_t *count);

struct imported_image {
    VkImage image;
    VkDeviceMemory memory;
    VkFormat format;
    uint32_t queue_family; /* of which it is acquired and to which it is released */
};
/* Imports a buffer of width x height pixels. Returns false with an exception pending. The buffer is
 * neither copied nor changed. */
bool hardware_buffer_import(JNIEnv *env, const struct own_device *own, jobject buffer,
                            uint32_t width, uint32_t height, struct imported_image *imported);
void hardware_buffer_release(const struct own_device *own, struct imported_image *imported);

#endif
