/* SPDX-License-Identifier: MIT
 *
 * A renderer that hands its VkImage over: it makes a Vulkan device of its own, draws a heart into
 * an image, and asks vkclip which of some labels fits it. The pixels stay on the device.
 *
 *     renderer MODEL LABEL...             prints the probability of each label
 *     renderer --compare MODEL LABEL...   also reads the pixels back and encodes them from the host
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vkclip_vulkan.h>
#include <vulkan/vulkan.h>

#include "heart_spirv.h"

#define SIZE 512 /* pixels along each side */
#define FORMAT VK_FORMAT_R8G8B8A8_UNORM
#define API_VERSION VK_API_VERSION_1_1

static void check(VkResult result, const char *call)
{
    if (result == VK_SUCCESS)
        return;
    fprintf(stderr, "%s: VkResult %d\n", call, (int)result);
    exit(EXIT_FAILURE);
}

static void check_vkclip(int error, const char *call)
{
    if (!error)
        return;
    fprintf(stderr, "%s: %s\n", call, vkclip_last_error());
    exit(EXIT_FAILURE);
}

/* ---- The renderer's device ------------------------------------------------------------------- */

struct renderer {
    VkInstance instance;
    VkPhysicalDevice physical_device;
    VkDevice device;
    VkQueue queue;
    uint32_t queue_family;
    VkCommandPool pool;
    VkImage image;
    VkDeviceMemory memory;
    VkImageView view;
    struct vkclip_vulkan_wants wants; /* what vkclip would use, all of which is enabled */
};

/* Makes a device as any program does, and enables what vkclip wants. A program that enables nothing
 * can still lend its device, on which vkclip is then slower. */
static void create_device(struct renderer *r)
{
    const VkApplicationInfo application = {.sType = VK_STRUCTURE_TYPE_APPLICATION_INFO,
                                           .pApplicationName = "renderer",
                                           .apiVersion = API_VERSION};
    const VkInstanceCreateInfo instance = {.sType = VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO,
                                           .pApplicationInfo = &application};
    const float priority = 1;
    uint32_t count = 1;
    check(vkCreateInstance(&instance, NULL, &r->instance), "vkCreateInstance");
    VkResult result = vkEnumeratePhysicalDevices(r->instance, &count, &r->physical_device);
    check(result == VK_INCOMPLETE ? VK_SUCCESS : result, "vkEnumeratePhysicalDevices");

    const struct vkclip_vulkan_device asked = {.size = sizeof(asked),
                                               .instance = r->instance,
                                               .api_version = API_VERSION,
                                               .physical_device = r->physical_device};
    r->wants.size = sizeof(r->wants);
    check_vkclip(vkclip_get_vulkan_wants(&asked, &r->wants), "vkclip_get_vulkan_wants");
    r->queue_family = r->wants.queue_family;

    const VkDeviceQueueCreateInfo queue = {.sType = VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO,
                                           .queueFamilyIndex = r->queue_family,
                                           .queueCount = 1,
                                           .pQueuePriorities = &priority};
    const VkDeviceCreateInfo device = {.sType = VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO,
                                       .pNext = r->wants.features,
                                       .queueCreateInfoCount = 1,
                                       .pQueueCreateInfos = &queue,
                                       .enabledExtensionCount = r->wants.extension_count,
                                       .ppEnabledExtensionNames = r->wants.extensions};
    check(vkCreateDevice(r->physical_device, &device, NULL, &r->device), "vkCreateDevice");
    vkGetDeviceQueue(r->device, r->queue_family, 0, &r->queue);
    const VkCommandPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO,
                                          .queueFamilyIndex = r->queue_family};
    check(vkCreateCommandPool(r->device, &pool, NULL, &r->pool), "vkCreateCommandPool");
}

static VkDeviceMemory allocate(const struct renderer *r, VkMemoryRequirements needs,
                               VkMemoryPropertyFlags properties)
{
    VkPhysicalDeviceMemoryProperties types;
    VkMemoryAllocateInfo info = {.sType = VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO,
                                 .allocationSize = needs.size};
    VkDeviceMemory memory;
    vkGetPhysicalDeviceMemoryProperties(r->physical_device, &types);
    while (info.memoryTypeIndex + 1 < types.memoryTypeCount &&
           (!(needs.memoryTypeBits & 1u << info.memoryTypeIndex) ||
            (types.memoryTypes[info.memoryTypeIndex].propertyFlags & properties) != properties))
        info.memoryTypeIndex++;
    check(vkAllocateMemory(r->device, &info, NULL, &memory), "vkAllocateMemory");
    return memory;
}

/* vkclip copies the image, for which it needs the usage TRANSFER_SRC. */
static void create_image(struct renderer *r)
{
    const VkImageCreateInfo info = {.sType = VK_STRUCTURE_TYPE_IMAGE_CREATE_INFO,
                                    .imageType = VK_IMAGE_TYPE_2D,
                                    .format = FORMAT,
                                    .extent = {SIZE, SIZE, 1},
                                    .mipLevels = 1,
                                    .arrayLayers = 1,
                                    .samples = VK_SAMPLE_COUNT_1_BIT,
                                    .usage = VK_IMAGE_USAGE_STORAGE_BIT |
                                             VK_IMAGE_USAGE_TRANSFER_SRC_BIT};
    VkMemoryRequirements needs;
    check(vkCreateImage(r->device, &info, NULL, &r->image), "vkCreateImage");
    vkGetImageMemoryRequirements(r->device, r->image, &needs);
    r->memory = allocate(r, needs, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT);
    check(vkBindImageMemory(r->device, r->image, r->memory, 0), "vkBindImageMemory");
    const VkImageViewCreateInfo view = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_VIEW_CREATE_INFO,
        .image = r->image,
        .viewType = VK_IMAGE_VIEW_TYPE_2D,
        .format = FORMAT,
        .subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1}};
    check(vkCreateImageView(r->device, &view, NULL, &r->view), "vkCreateImageView");
}

static void destroy_all(struct renderer *r)
{
    vkDestroyImageView(r->device, r->view, NULL);
    vkDestroyImage(r->device, r->image, NULL);
    vkFreeMemory(r->device, r->memory, NULL);
    vkDestroyCommandPool(r->device, r->pool, NULL);
    vkDestroyDevice(r->device, NULL);
    vkDestroyInstance(r->instance, NULL);
}

/* ---- Drawing --------------------------------------------------------------------------------- */

static VkCommandBuffer begin_commands(const struct renderer *r)
{
    const VkCommandBufferAllocateInfo info = {.sType =
                                                  VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO,
                                              .commandPool = r->pool,
                                              .level = VK_COMMAND_BUFFER_LEVEL_PRIMARY,
                                              .commandBufferCount = 1};
    const VkCommandBufferBeginInfo begin = {.sType = VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
    VkCommandBuffer commands;
    check(vkAllocateCommandBuffers(r->device, &info, &commands), "vkAllocateCommandBuffers");
    check(vkBeginCommandBuffer(commands, &begin), "vkBeginCommandBuffer");
    return commands;
}

static void submit(const struct renderer *r, VkCommandBuffer commands)
{
    const VkSubmitInfo info = {.sType = VK_STRUCTURE_TYPE_SUBMIT_INFO,
                               .commandBufferCount = 1,
                               .pCommandBuffers = &commands};
    check(vkEndCommandBuffer(commands), "vkEndCommandBuffer");
    check(vkQueueSubmit(r->queue, 1, &info, VK_NULL_HANDLE), "vkQueueSubmit");
}

/* What draws, until the device has drawn. */
struct drawing {
    VkDescriptorSetLayout set_layout;
    VkDescriptorPool sets;
    VkDescriptorSet set;
    VkPipelineLayout layout;
    VkPipeline pipeline;
};

static void create_set(const struct renderer *r, struct drawing *d)
{
    const VkDescriptorSetLayoutBinding binding = {.descriptorType =
                                                      VK_DESCRIPTOR_TYPE_STORAGE_IMAGE,
                                                  .descriptorCount = 1,
                                                  .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    const VkDescriptorSetLayoutCreateInfo layout = {
        .sType = VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
        .bindingCount = 1,
        .pBindings = &binding};
    const VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_IMAGE, 1};
    const VkDescriptorPoolCreateInfo pool = {.sType = VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO,
                                             .maxSets = 1,
                                             .poolSizeCount = 1,
                                             .pPoolSizes = &size};
    check(vkCreateDescriptorSetLayout(r->device, &layout, NULL, &d->set_layout),
          "vkCreateDescriptorSetLayout");
    check(vkCreateDescriptorPool(r->device, &pool, NULL, &d->sets), "vkCreateDescriptorPool");
    const VkDescriptorSetAllocateInfo set = {.sType =
                                                 VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO,
                                             .descriptorPool = d->sets,
                                             .descriptorSetCount = 1,
                                             .pSetLayouts = &d->set_layout};
    check(vkAllocateDescriptorSets(r->device, &set, &d->set), "vkAllocateDescriptorSets");
    const VkDescriptorImageInfo image = {.imageView = r->view,
                                         .imageLayout = VK_IMAGE_LAYOUT_GENERAL};
    const VkWriteDescriptorSet write = {.sType = VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET,
                                        .dstSet = d->set,
                                        .descriptorCount = 1,
                                        .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_IMAGE,
                                        .pImageInfo = &image};
    vkUpdateDescriptorSets(r->device, 1, &write, 0, NULL);
}

static void create_pipeline(const struct renderer *r, struct drawing *d)
{
    const VkPipelineLayoutCreateInfo layout = {.sType =
                                                   VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                               .setLayoutCount = 1,
                                               .pSetLayouts = &d->set_layout};
    const VkShaderModuleCreateInfo shader = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                             .codeSize = sizeof(heart_spirv),
                                             .pCode = heart_spirv};
    VkShaderModule module;
    check(vkCreatePipelineLayout(r->device, &layout, NULL, &d->layout), "vkCreatePipelineLayout");
    check(vkCreateShaderModule(r->device, &shader, NULL, &module), "vkCreateShaderModule");
    const VkComputePipelineCreateInfo pipeline = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main"},
        .layout = d->layout};
    check(vkCreateComputePipelines(r->device, VK_NULL_HANDLE, 1, &pipeline, NULL, &d->pipeline),
          "vkCreateComputePipelines");
    vkDestroyShaderModule(r->device, module, NULL);
}

/* Draws the heart, and leaves the image in the layout GENERAL. */
static void draw(const struct renderer *r, struct drawing *d)
{
    const VkImageMemoryBarrier barrier = {
        .sType = VK_STRUCTURE_TYPE_IMAGE_MEMORY_BARRIER,
        .dstAccessMask = VK_ACCESS_SHADER_WRITE_BIT,
        .newLayout = VK_IMAGE_LAYOUT_GENERAL,
        .srcQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .dstQueueFamilyIndex = VK_QUEUE_FAMILY_IGNORED,
        .image = r->image,
        .subresourceRange = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 1, 0, 1}};
    create_set(r, d);
    create_pipeline(r, d);
    VkCommandBuffer commands = begin_commands(r);
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TOP_OF_PIPE_BIT,
                         VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT, 0, 0, NULL, 0, NULL, 1, &barrier);
    vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, d->pipeline);
    vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, d->layout, 0, 1, &d->set, 0,
                            NULL);
    vkCmdDispatch(commands, SIZE / 8, SIZE / 8, 1);
    submit(r, commands); /* vkclip's commands come after these in the same queue. */
}

static void destroy_drawing(const struct renderer *r, const struct drawing *d)
{
    vkDestroyPipeline(r->device, d->pipeline, NULL);
    vkDestroyPipelineLayout(r->device, d->layout, NULL);
    vkDestroyDescriptorPool(r->device, d->sets, NULL);
    vkDestroyDescriptorSetLayout(r->device, d->set_layout, NULL);
}

/* ---- Asking vkclip --------------------------------------------------------------------------- */

static struct vkclip_device *lend_device(const struct renderer *r)
{
    const struct vkclip_vulkan_device lent = {.size = sizeof(lent),
                                              .instance = r->instance,
                                              .api_version = API_VERSION,
                                              .physical_device = r->physical_device,
                                              .device = r->device,
                                              .queue = r->queue,
                                              .queue_family = r->queue_family,
                                              .extensions = r->wants.extensions,
                                              .extension_count = r->wants.extension_count,
                                              .features = r->wants.features};
    struct vkclip_device *device = NULL;
    check_vkclip(vkclip_open_vulkan_device(NULL, &lent, &device), "vkclip_open_vulkan_device");
    return device;
}

static void encode_image(const struct renderer *r, struct vkclip_model *model, float *embed)
{
    const struct vkclip_vulkan_image image = {.size = sizeof(image),
                                              .image = r->image,
                                              .format = FORMAT,
                                              .width = SIZE,
                                              .height = SIZE,
                                              .layout = VK_IMAGE_LAYOUT_GENERAL,
                                              .queue_family = r->queue_family};
    check_vkclip(vkclip_encode_vulkan_images(model, &image, 1, NULL, embed),
                 "vkclip_encode_vulkan_images");
}

/* Prints the softmax of the similarities of a picture [D] with labels [L,D]. */
static void print_probabilities(const struct vkclip_model_info *info, const float *embed,
                                const float *label_embeds, const char *const *labels, size_t count)
{
    double *logits = calloc(count, sizeof(*logits)), most = -INFINITY, sum = 0;
    if (!logits)
        exit(EXIT_FAILURE);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < info->embed_dim; j++)
            logits[i] += (double)embed[j] * (double)label_embeds[i * info->embed_dim + j];
        logits[i] *= (double)info->logit_scale;
        most = fmax(most, logits[i]);
    }
    for (size_t i = 0; i < count; i++)
        sum += logits[i] = exp(logits[i] - most);
    for (size_t i = 0; i < count; i++)
        printf("%5.1f %%  %s\n", 100 * logits[i] / sum, labels[i]);
    free(logits);
}

/* ---- Comparing with the host ----------------------------------------------------------------- */

/* Reads the pixels back, and encodes them as a program does that has them on the host. */
static void encode_from_host(const struct renderer *r, struct vkclip_model *model, float *embed)
{
    static unsigned char rgb[SIZE * SIZE * 3];
    const VkBufferCreateInfo info = {.sType = VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO,
                                     .size = (VkDeviceSize)SIZE * SIZE * 4,
                                     .usage = VK_BUFFER_USAGE_TRANSFER_DST_BIT};
    const VkBufferImageCopy region = {.imageSubresource = {VK_IMAGE_ASPECT_COLOR_BIT, 0, 0, 1},
                                      .imageExtent = {SIZE, SIZE, 1}};
    const VkMemoryBarrier barrier = {.sType = VK_STRUCTURE_TYPE_MEMORY_BARRIER,
                                     .srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT,
                                     .dstAccessMask = VK_ACCESS_HOST_READ_BIT};
    VkBuffer buffer;
    VkMemoryRequirements needs;
    void *bytes;
    check(vkCreateBuffer(r->device, &info, NULL, &buffer), "vkCreateBuffer");
    vkGetBufferMemoryRequirements(r->device, buffer, &needs);
    VkDeviceMemory memory = allocate(
        r, needs, VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT);
    check(vkBindBufferMemory(r->device, buffer, memory, 0), "vkBindBufferMemory");
    VkCommandBuffer commands = begin_commands(r);
    vkCmdCopyImageToBuffer(commands, r->image, VK_IMAGE_LAYOUT_GENERAL, buffer, 1, &region);
    vkCmdPipelineBarrier(commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT, 0, 1,
                         &barrier, 0, NULL, 0, NULL);
    submit(r, commands);
    check(vkQueueWaitIdle(r->queue), "vkQueueWaitIdle");
    check(vkMapMemory(r->device, memory, 0, VK_WHOLE_SIZE, 0, &bytes), "vkMapMemory");
    for (size_t i = 0; i < (size_t)SIZE * SIZE; i++)
        memcpy(&rgb[3 * i], (const unsigned char *)bytes + 4 * i, 3);
    vkDestroyBuffer(r->device, buffer, NULL);
    vkFreeMemory(r->device, memory, NULL);
    const struct vkclip_image image = {.pixels = rgb, .width = SIZE, .height = SIZE, .channels = 3};
    check_vkclip(vkclip_encode_images(model, &image, 1, NULL, embed), "vkclip_encode_images");
}

static void print_difference(const float *a, const float *b, size_t count)
{
    double largest = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
    printf("largest difference from the host's embedding: %g\n", largest);
}

int main(int argc, char **argv)
{
    struct renderer renderer = {0};
    struct drawing drawing;
    struct vkclip_model *model = NULL;
    struct vkclip_model_info info = {.size = sizeof(info)};
    const int compare = argc > 1 && !strcmp(argv[1], "--compare");
    const char *const *labels = (const char *const *)argv + 2 + compare;
    if (argc < 3 + compare) {
        fprintf(stderr, "usage: renderer [--compare] MODEL LABEL...\n");
        return EXIT_FAILURE;
    }
    const size_t count = (size_t)(argc - 2 - compare);
    create_device(&renderer);
    create_image(&renderer);
    struct vkclip_device *device = lend_device(&renderer);
    check_vkclip(vkclip_open_model(device, labels[-1], NULL, &model), "vkclip_open_model");
    check_vkclip(vkclip_get_model_info(model, &info), labels[-1]);

    const char *const template = "a picture of {}";
    float *embeds = calloc(count + 2, info.embed_dim * sizeof(*embeds));
    if (!embeds)
        return EXIT_FAILURE;
    float *embed = embeds + count * info.embed_dim, *from_host = embed + info.embed_dim;
    check_vkclip(vkclip_encode_labels(model, labels, count, &template, 1, NULL, embeds), "labels");
    draw(&renderer, &drawing);
    encode_image(&renderer, model, embed);
    print_probabilities(&info, embed, embeds, labels, count);
    if (compare) {
        encode_from_host(&renderer, model, from_host);
        print_difference(embed, from_host, info.embed_dim);
    }
    free(embeds);
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    destroy_drawing(&renderer, &drawing);
    destroy_all(&renderer);
    return EXIT_SUCCESS;
}
