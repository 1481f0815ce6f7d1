/* SPDX-License-Identifier: MIT
 *
 * Imports hardware buffers of four bytes per pixel, RGBA_8888 and RGBX_8888, by the extension
 * VK_ANDROID_external_memory_android_hardware_buffer. Refuses those of cameras and video decoders,
 * whose formats only a sampler with a conversion from YCbCr can read. This was compiled and never
 * run: no machine of the project has Android.
 */
#include "hardware_buffer.h"
#include "bridge.h"

#ifdef __ANDROID__

#include <vulkan/vulkan_android.h>

/* <android/hardware_buffer_jni.h>, which includes a header that few systems besides the NDK have.
 */
struct AHardwareBuffer *AHardwareBuffer_fromHardwareBuffer(JNIEnv *env, jobject buffer);

const char *const *hardware_buffer_extensions(size_t *count)
{
    static const char *const names[] = {
        VK_ANDROID_EXTERNAL_MEMORY_ANDROID_HARDWARE_BUFFER_EXTENSION_NAME,
        VK_EXT_QUEUE_FAMILY_FOREIGN_EXTENSION_NAME};
    *count = sizeof(names) / sizeof(*names);
    return names;
}

struct properties {
    VkAndroidHardwareBufferPropertiesANDROID memory;
    VkAndroidHardwareBufferFormatPropertiesANDROID format;
};

static bool read_properties(JNIEnv *env, const struct own_device *own,
                            const struct AHardwareBuffer *buffer, struct properties *properties)
{
    PFN_vkGetAndroidHardwareBufferPropertiesANDROID get =
        (PFN_vkGetAndroidHardwareBufferPropertiesANDROID)own->vk.GetDeviceProcAddr(
            own->device, "vkGetAndroidHardwareBufferPropertiesANDROID");
    *properties = (struct properties){
        .memory.sType = VK_STRUCTURE_TYPE_ANDROID_HARDWARE_BUFFER_PROPERTIES_ANDROID,
        .format.sType = VK_STRUCTURE_TYPE_ANDROID_HARDWARE_BUFFER_FORMAT_PROPERTIES_ANDROID};
    properties->memory.pNext = &properties->format;
    const VkResult result =
        get ? get(own->device, buffer, &properties->memory) : VK_ERROR_EXTENSION_NOT_PRESENT;
    if (result != VK_SUCCESS || !properties->memory.memoryTypeBits)
        bridge_throw_message(env, VKCLIP_EDEVICE,
                             "the device does not describe the HardwareBuffer: VkResult %d",
                             (int)result);
    else if (properties->format.format != VK_FORMAT_R8G8B8A8_UNORM ||
             !(properties->format.formatFeatures & VK_FORMAT_FEATURE_TRANSFER_SRC_BIT))
        bridge_throw_message(env, VKCLIP_EUNSUPPORTED,
                             "the HardwareBuffer is of VkFormat %d, expected RGBA_8888 or "
                             "RGBX_8888: copy it to a Bitmap",
                             (int)properties->format.format);
    else
        return true;
    return false;
}

static VkResult create_image(const struct own_device *own, uint32_t width, uint32_t height,
                             struct imported_image *imported)
{
    const VkExternalMemoryImageCreateInfo external = {
        .sType = VK_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMAGE_CREATE_INFO,
        .handleTypes = VK_EXTERNAL_MEMORY_HANDLE_TYPE_ANDROID_HARDWARE_BUFFER_BIT_ANDROID};
    const VkImageCreateInfo info = {.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
                                    .pNext = &external,
                                    .imageType = VK_IMAGE_TYPE_2D,
                                    .format = imported->format,
                                    .extent = {width, height, 1},
                                    .mipLevels = 1,
                                    .arrayLayers = 1,
                                    .samples = VK_SAMPLE_COUNT_1_BIT,
                                    .usage = VK_IMAGE_USAGE_SAMPLED_BIT |
                                             VK_IMAGE_USAGE_TRANSFER_SRC_BIT};
    return own->vk.CreateImage(own->device, &info, NULL, &imported->image);
}

static VkResult import_memory(const struct own_device *own, struct AHardwareBuffer *buffer,
                              const struct properties *properties, struct imported_image *imported)
{
    const VkMemoryDedicatedAllocateInfo dedicated = {
        .sType = VK_STRUCTURE_TYPE_MEMORY_DEDICATED_ALLOCATE_INFO, .image = imported->image};
    const VkImportAndroidHardwareBufferInfoANDROID import = {
        .sType = VK_STRUCTURE_TYPE_IMPORT_ANDROID_HARDWARE_BUFFER_INFO_ANDROID,
        .pNext = &dedicated,
        .buffer = buffer};
    VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                 .pNext = &import,
                                 .allocationSize = properties->memory.allocationSize};
    while (!(properties->memory.memoryTypeBits >> info.memoryTypeIndex & 1))
        info.memoryTypeIndex++;
    const VkResult result = own->vk.AllocateMemory(own->device, &info, NULL, &imported->memory);
    if (result != VK_SUCCESS)
        return result;
    return own->vk.BindImageMemory(own->device, imported->image, imported->memory, 0);
}

bool hardware_buffer_import(JNIEnv *env, const struct own_device *own, jobject buffer,
                            uint32_t width, uint32_t height, struct imported_image *imported)
{
    struct properties properties;
    struct AHardwareBuffer *native = AHardwareBuffer_fromHardwareBuffer(env, buffer);
    *imported = (struct imported_image){.queue_family = VK_QUEUE_FAMILY_FOREIGN_EXT};
    if (!native) {
        bridge_throw_message(env, VKCLIP_EINVALID, "the HardwareBuffer is closed");
        return false;
    }
    if (!read_properties(env, own, native, &properties))
        return false;
    imported->format = properties.format.format;
    VkResult result = create_image(own, width, height, imported);
    if (result == VK_SUCCESS)
        result = import_memory(own, native, &properties, imported);
    if (result == VK_SUCCESS)
        return true;
    bridge_throw_message(env, VKCLIP_EDEVICE,
                         "the device does not import the HardwareBuffer: VkResult %d", (int)result);
    hardware_buffer_release(own, imported);
    return false;
}

void hardware_buffer_release(const struct own_device *own, struct imported_image *imported)
{
    own->vk.DestroyImage(own->device, imported->image, NULL);
    own->vk.FreeMemory(own->device, imported->memory, NULL);
}

#else

const char *const *hardware_buffer_extensions(size_t *count)
{
    *count = 0;
    return NULL;
}

bool hardware_buffer_import(JNIEnv *env, const struct own_device *own, jobject buffer,
                            uint32_t width, uint32_t height, struct imported_image *imported)
{
    (void)own, (void)buffer, (void)width, (void)height, (void)imported;
    bridge_throw_message(env, VKCLIP_EUNSUPPORTED, "hardware buffers exist on Android only");
    return false;
}

void hardware_buffer_release(const struct own_device *own, struct imported_image *imported)
{
    (void)own, (void)imported;
}

#endif
