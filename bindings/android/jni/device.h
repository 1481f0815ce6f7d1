/* SPDX-License-Identifier: MIT
 *
 * What a dev.vkclip.Device is in C.
 */
#ifndef VKCLIP_JNI_DEVICE_H
#define VKCLIP_JNI_DEVICE_H

#include <vkclip.h>

struct own_device;

struct device {
    struct vkclip_device *device;
    struct own_device *own; /* the Vulkan device that it was opened on; NULL: the library's own */
};

#endif
