/* SPDX-License-Identifier: MIT
 *
 * Takes the place of Android in the tests on a desktop: the functions for bitmaps read the fields
 * of the class in stubs/, and a hardware buffer becomes an image with its pixels. So everything but
 * the import itself runs: a device of our own that is lent to the library, and its images.
 */
#include "../jni/hardware_buffer.h"

#include <android/bitmap.h>
#include <string.h>

/* ---- Bitmaps --------------------------------------------------------------------------------- */

static jint get_int(JNIEnv *env, jobject object, const char *name)
{
    jclass class = (*env)->GetObjectClass(env, object);
    const jint value = (*env)->GetIntField(env, object, (*env)->GetFieldID(env, class, name, "I"));
    (*env)->DeleteLocalRef(env, class);
    return value;
}

static void *get_pixels(JNIEnv *env, jobject object)
{
    jclass class = (*env)->GetObjectClass(env, object);
    jfieldID field = (*env)->GetFieldID(env, class, "pixels", "Ljava/nio/ByteBuffer;");
    jobject buffer = (*env)->GetObjectField(env, object, field);
    void *pixels = (*env)->GetDirectBufferAddress(env, buffer);
    (*env)->DeleteLocalRef(env, buffer);
    (*env)->DeleteLocalRef(env, class);
    return pixels;
}

static void add_lock(JNIEnv *env, jobject bitmap, jint step)
{
    jclass class = (*env)->GetObjectClass(env, bitmap);
    jfieldID field = (*env)->GetFieldID(env, class, "locks", "I");
    (*env)->SetIntField(env, bitmap, field, (*env)->GetIntField(env, bitmap, field) + step);
    (*env)->DeleteLocalRef(env, class);
}

int AndroidBitmap_getInfo(JNIEnv *env, jobject bitmap, AndroidBitmapInfo *info)
{
    info->width = (uint32_t)get_int(env, bitmap, "width");
    info->height = (uint32_t)get_int(env, bitmap, "height");
    info->stride = (uint32_t)get_int(env, bitmap, "stride");
    info->format = get_int(env, bitmap, "format");
    return info->format ? ANDROID_BITMAP_RESULT_SUCCESS : ANDROID_BITMAP_RESULT_BAD_PARAMETER;
}

int AndroidBitmap_lockPixels(JNIEnv *env, jobject bitmap, void **pixels)
{
    *pixels = get_pixels(env, bitmap);
    add_lock(env, bitmap, 1);
    return ANDROID_BITMAP_RESULT_SUCCESS;
}

int AndroidBitmap_unlockPixels(JNIEnv *env, jobject bitmap)
{
    add_lock(env, bitmap, -1);
    return ANDROID_BITMAP_RESULT_SUCCESS;
}

/* ---- Hardware buffers ------------------------------------------------------------------------ */

const char *const *hardware_buffer_extensions(size_t *count)
{
    static const char *const none[1];
    *count = 0;
    return none;
}

#define FUNCTION(own, name) ((PFN_vk##name)(own)->vk.GetDeviceProcAddr((own)->device, "vk" #name))

static bool fill_image(const struct own_device *own, const uint8_t *pixels, uint32_t width,
                       uint32_t height, const struct imported_image *imported)
{
    const VkImageSubresource part = {.aspectMask = VK_IMAGE_ASPECT_COLOR_BIT};
    VkSubresourceLayout layout;
    uint8_t *memory = NULL;
    FUNCTION(own, GetImageSubresourceLayout)(own->device, imported->image, &part, &layout);
    if (FUNCTION(own, MapMemory)(own->device, imported->memory, 0, VK_WHOLE_SIZE, 0,
                                 (void **)&memory) != VK_SUCCESS)
        return false;
    for (uint32_t y = 0; y < height; y++)
        memcpy(memory + layout.offset + y * layout.rowPitch, pixels + (size_t)y * 4 * width,
               (size_t)4 * width);
    FUNCTION(own, UnmapMemory)(own->device, imported->memory);
    return true;
}

/* The first type of memory of lavapipe is that of the host. */
bool hardware_buffer_import(JNIEnv *env, const struct own_device *own, jobject buffer,
                            uint32_t width, uint32_t height, struct imported_image *imported)
{
    const VkImageCreateInfo info = {.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
                                    .imageType = VK_IMAGE_TYPE_2D,
                                    .format = VK_FORMAT_R8G8B8A8_UNORM,
                                    .extent = {width, height, 1},
                                    .mipLevels = 1,
                                    .arrayLayers = 1,
                                    .samples = VK_SAMPLE_COUNT_1_BIT,
                                    .tiling = VK_IMAGE_TILING_LINEAR,
                                    .usage = VK_IMAGE_USAGE_TRANSFER_SRC_BIT};
    VkMemoryRequirements needs;
    *imported =
        (struct imported_image){.format = info.format, .queue_family = VK_QUEUE_FAMILY_IGNORED};
    if (own->vk.CreateImage(own->device, &info, NULL, &imported->image) == VK_SUCCESS) {
        FUNCTION(own, GetImageMemoryRequirements)(own->device, imported->image, &needs);
        const VkMemoryAllocateInfo allocation = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                                 .allocationSize = needs.size};
        if (own->vk.AllocateMemory(own->device, &allocation, NULL, &imported->memory) ==
                VK_SUCCESS &&
            own->vk.BindImageMemory(own->device, imported->image, imported->memory, 0) ==
                VK_SUCCESS &&
            fill_image(own, get_pixels(env, buffer), width, height, imported))
            return true;
    }
    hardware_buffer_release(own, imported);
    (*env)->FatalError(env, "the double of a hardware buffer has no image");
    return false;
}

void hardware_buffer_release(const struct own_device *own, struct imported_image *imported)
{
    own->vk.DestroyImage(own->device, imported->image, NULL);
    own->vk.FreeMemory(own->device, imported->memory, NULL);
}
