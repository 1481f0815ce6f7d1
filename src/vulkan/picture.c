/* SPDX-License-Identifier: MIT
 *
 * Copies pictures of the application into buffers of the library, on the device. An image is left
 * in the layout and with the owner that it had. Refuses formats other than 8-bit colours,
 * and owners that the device does not have.
 */
#include "base/memory.h"
#include "vulkan/internal.h"

#include "base/array.h"
#include "base/error.h"

/* ---- Formats --------------------------------------------------------------------------------- */

static const struct {
    VkFormat format;
    uint32_t stride;
    bool swapped;
} formats[] = {
    {VK_FORMAT_R8G8B8A8_UNORM, 4, false}, {VK_FORMAT_R8G8B8A8_SRGB, 4, false},
    {VK_FORMAT_B8G8R8A8_UNORM, 4, true},  {VK_FORMAT_B8G8R8A8_SRGB, 4, true},
    {VK_FORMAT_R8G8B8_UNORM, 3, false},   {VK_FORMAT_R8G8B8_SRGB, 3, false},
    {VK_FORMAT_B8G8R8_UNORM, 3, true},    {VK_FORMAT_B8G8R8_SRGB, 3, true},
};

/* Images of three bytes per pixel are hardly supported by any device. */
static int read_format(VkFormat format, uint32_t least_stride, struct gpu_picture *picture)
{
    for (size_t i = 0; i < ARRAY_COUNT(formats); i++)
        if (formats[i].format == format && formats[i].stride >= least_stride) {
            picture->stride = formats[i].stride;
            picture->swapped = formats[i].swapped;
            return VKCLIP_OK;
        }
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "picture of VkFormat %d, expected R8G8B8A8 or B8G8R8A8%s, UNORM or SRGB",
                      (int)format, least_stride == 4 ? "" : ", R8G8B8 or B8G8R8");
}

static int read_image(const struct vkclip_vulkan_image *image, struct gpu_picture *picture)
{
    if (!image->image || !image->width || !image->height)
        return error_fail(VKCLIP_EINVALID, "picture in a VkImage: expected `image`, `width` and "
                                           "`height`");
    if (image->layout == VK_IMAGE_LAYOUT_UNDEFINED ||
        image->layout == VK_IMAGE_LAYOUT_PREINITIALIZED)
        return error_fail(VKCLIP_EINVALID,
                          "picture in a VkImage of layout %d (`layout`), which has no content",
                          (int)image->layout);
    *picture = (struct gpu_picture){.width = image->width, .height = image->height, .image = image};
    return read_format(image->format, 4, picture);
}

static int read_buffer(const struct vkclip_vulkan_buffer *buffer, struct gpu_picture *picture)
{
    if (!buffer->buffer || !buffer->width || !buffer->height)
        return error_fail(VKCLIP_EINVALID, "picture in a VkBuffer: expected `buffer`, `width` and "
                                           "`height`");
    *picture =
        (struct gpu_picture){.width = buffer->width, .height = buffer->height, .buffer = buffer};
    int error = read_format(buffer->format, 3, picture);
    const uint64_t least = (uint64_t)picture->stride * picture->width;
    if (!error && buffer->pitch && buffer->pitch < least)
        error = error_fail(VKCLIP_EINVALID,
                           "picture in a VkBuffer: rows of %llu bytes (`pitch`), expected at least "
                           "%llu",
                           (unsigned long long)buffer->pitch, (unsigned long long)least);
    return error;
}

/* A family that the device lacks would make the barriers of the copy invalid. */
static int check_family(const struct gpu *gpu, uint32_t family)
{
    if (family < gpu->families || family == VK_QUEUE_FAMILY_IGNORED ||
        family == VK_QUEUE_FAMILY_EXTERNAL || family == VK_QUEUE_FAMILY_FOREIGN_EXT)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EINVALID, "picture: `queue_family` is %u, but %s has %u families",
                      family, gpu->info.name, gpu->families);
}

int gpu_picture_read(const struct gpu *gpu, const struct vkclip_vulkan_image *images,
                     const struct vkclip_vulkan_buffer *buffers, size_t index,
                     struct gpu_picture *picture)
{
    const int error =
        check_family(gpu, images ? images[index].queue_family : buffers[index].queue_family);
    if (error)
        return error;
    return images ? read_image(&images[index], picture) : read_buffer(&buffers[index], picture);
}

uint64_t gpu_picture_pitch(const struct gpu_picture *picture, uint32_t width)
{
    return ((uint64_t)width * picture->stride + 3) / 4 * 4;
}

/* ---- Barriers -------------------------------------------------------------------------------- */

#define ALL_STAGES VK_PIPELINE_STAGE_ALL_COMMANDS_BIT
#define ALL_ACCESS (VK_ACCESS_MEMORY_READ_BIT | VK_ACCESS_MEMORY_WRITE_BIT)

/* The owner of a picture outside of the call, and the one within. Without a change of owner Vulkan
 * wants both to be ignored. */
struct owners {
    uint32_t outside, within;
};

static struct owners find_owners(const struct gpu_commands *commands, uint32_t family)
{
    const uint32_t within = commands->queue->family;
    if (family == within || family == VK_QUEUE_FAMILY_IGNORED)
        return (struct owners){VK_QUEUE_FAMILY_IGNORED, VK_QUEUE_FAMILY_IGNORED};
    return (struct owners){family, within};
}

/* Returns the layout in which an image is copied. */
static VkImageLayout copied_layout(const struct vkclip_vulkan_image *image)
{
    return image->layout == VK_IMAGE_LAYOUT_GENERAL ? image->layout
                                                    : VK_IMAGE_LAYOUT_TRANSFER_SRC_OPTIMAL;
}

/* Takes an image over for the copy, or gives it back: the two barriers mirror each other. */
static void move_image(const struct gpu_commands *commands, const struct vkclip_vulkan_image *image,
                       bool back)
{
    const struct owners owners = find_owners(commands, image->queue_family);
    const VkPipelineStageFlags copy = VK_PIPELINE_STAGE_TRANSFER_BIT;
    const VkImageMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
        .srcAccessMask = back ? VK_ACCESS_TRANSFER_READ_BIT : VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask = back ? ALL_ACCESS : VK_ACCESS_TRANSFER_READ_BIT,
        .oldLayout = back ? copied_layout(image) : image->layout,
        .newLayout = back ? image->layout : copied_layout(image),
        .srcQueueFamilyIndex = back ? owners.within : owners.outside,
        .dstQueueFamilyIndex = back ? owners.outside : owners.within,
        .image = image->image,
        .subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, image->mip_level, 1, image->array_layer,
                             1}};
    commands->gpu->vk.CmdPipelineBarrier(commands_buffer(commands), back ? copy : ALL_STAGES,
                                         back ? ALL_STAGES : copy, 0, 0, NULL, 0, NULL, 1,
                                         &barrier);
}

static void move_buffer(const struct gpu_commands *commands,
                        const struct vkclip_vulkan_buffer *buffer, bool back)
{
    const struct owners owners = find_owners(commands, buffer->queue_family);
    const VkPipelineStageFlags copy = VK_PIPELINE_STAGE_TRANSFER_BIT;
    const VkBufferMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_BUFFER_MEMORY_BARRIER,
        .srcAccessMask = back ? VK_ACCESS_TRANSFER_READ_BIT : VK_ACCESS_MEMORY_WRITE_BIT,
        .dstAccessMask = back ? ALL_ACCESS : VK_ACCESS_TRANSFER_READ_BIT,
        .srcQueueFamilyIndex = back ? owners.within : owners.outside,
        .dstQueueFamilyIndex = back ? owners.outside : owners.within,
        .buffer = buffer->buffer,
        .size = VK_WHOLE_SIZE};
    commands->gpu->vk.CmdPipelineBarrier(commands_buffer(commands), back ? copy : ALL_STAGES,
                                         back ? ALL_STAGES : copy, 0, 0, NULL, 1, &barrier, 0,
                                         NULL);
}

/* ---- Copies ---------------------------------------------------------------------------------- */

static void copy_image(const struct gpu_commands *commands, const struct vkclip_vulkan_image *image,
                       const struct gpu_window *window, const struct gpu_range *target)
{
    const VkBufferImageCopy region = {
        .bufferOffset = target->offset,
        .imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, image->mip_level, image->array_layer, 1},
        .imageOffset = {(int32_t)(image->x + window->x), (int32_t)(image->y + window->y), 0},
        .imageExtent = {window->width, window->height, 1}};
    move_image(commands, image, false);
    commands->gpu->vk.CmdCopyImageToBuffer(commands_buffer(commands), image->image,
                                           copied_layout(image), target->buffer->buffer, 1,
                                           &region);
    move_image(commands, image, true);
}

static int copy_buffer(const struct gpu_commands *commands, const struct gpu_picture *picture,
                       const struct gpu_window *window, const struct gpu_range *target)
{
    const struct vkclip_vulkan_buffer *buffer = picture->buffer;
    const uint64_t stride = picture->stride, used = stride * window->width;
    const uint64_t pitch = buffer->pitch ? buffer->pitch : stride * picture->width;
    VkBufferCopy *rows = memory_calloc(window->height, sizeof(*rows));
    if (!rows)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the rows of a picture");
    for (uint32_t i = 0; i < window->height; i++)
        rows[i] =
            (VkBufferCopy){buffer->offset + (window->y + i) * pitch + window->x * stride,
                           target->offset + i * gpu_picture_pitch(picture, window->width), used};
    move_buffer(commands, buffer, false);
    commands->gpu->vk.CmdCopyBuffer(commands_buffer(commands), buffer->buffer,
                                    target->buffer->buffer, window->height, rows);
    move_buffer(commands, buffer, true);
    memory_free(rows);
    return VKCLIP_OK;
}

int gpu_commands_take_picture(struct gpu_commands *commands, const struct gpu_picture *picture,
                              const struct gpu_window *window, struct gpu_range target)
{
    const struct vkclip_vulkan_image *image = picture->image;
    const struct vkclip_vulkan_buffer *buffer = picture->buffer;
    target.size = gpu_picture_pitch(picture, window->width) * window->height;
    commands->wait = image ? image->wait : buffer->wait;
    commands->wait_value = image ? image->wait_value : buffer->wait_value;
    commands->signal = image ? image->signal : buffer->signal;
    commands->signal_value = image ? image->signal_value : buffer->signal_value;
    int error = commands_order_copy(commands, &target, &target);
    if (!error && image)
        copy_image(commands, image, window, &target);
    else if (!error)
        error = copy_buffer(commands, picture, window, &target);
    return error;
}
