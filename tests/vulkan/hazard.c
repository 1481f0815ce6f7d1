/* SPDX-License-Identifier: MIT
 *
 * This program is wrong on purpose: the second of two dispatches reads what the first one wrote,
 * with no barrier between them. The validation layer has to name the hazard, or its silence in the
 * other tests would prove nothing.
 */
#include <stdint.h>
#include <stdio.h>

#define VOLK_IMPLEMENTATION
#include <volk.h>

#include "hazard_spirv.h"

#define CHECK(call)                                     \
    do {                                                \
        VkResult result = (call);                       \
        if (result < 0) {                               \
            fprintf(stderr, "%s: %d\n", #call, result); \
            return 1;                                   \
        }                                               \
    } while (0)

#define TYPE(name) .sType = VK_STRUCTURE_TYPE_##name

static int open_device(VkPhysicalDevice *physical, VkDevice *device)
{
    CHECK(volkInitialize());
    VkApplicationInfo app = {TYPE(APPLICATION_INFO), .apiVersion = VK_API_VERSION_1_1};
    VkInstanceCreateInfo instance_info = {TYPE(INSTANCE_CREATE_INFO), .pApplicationInfo = &app};
    VkInstance instance;
    CHECK(vkCreateInstance(&instance_info, NULL, &instance));
    volkLoadInstance(instance);
    uint32_t count = 1;
    CHECK(vkEnumeratePhysicalDevices(instance, &count, physical));
    if (count == 0) {
        fputs("no Vulkan device\n", stderr);
        return 1;
    }
    float priority = 1;
    VkDeviceQueueCreateInfo queue = {TYPE(DEVICE_QUEUE_CREATE_INFO), .queueCount = 1,
                                     .pQueuePriorities = &priority};
    VkDeviceCreateInfo device_info = {TYPE(DEVICE_CREATE_INFO), .queueCreateInfoCount = 1,
                                      .pQueueCreateInfos = &queue};
    CHECK(vkCreateDevice(*physical, &device_info, NULL, device));
    volkLoadDevice(*device);
    return 0;
}

static int create_buffer(VkDevice device, VkBuffer *buffer)
{
    VkBufferCreateInfo buffer_info = {TYPE(BUFFER_CREATE_INFO), .size = 1024,
                                      .usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT};
    CHECK(vkCreateBuffer(device, &buffer_info, NULL, buffer));
    VkMemoryRequirements needs;
    vkGetBufferMemoryRequirements(device, *buffer, &needs);
    VkMemoryAllocateInfo memory_info = {TYPE(MEMORY_ALLOCATE_INFO), .allocationSize = needs.size};
    while (!(needs.memoryTypeBits >> memory_info.memoryTypeIndex & 1))
        memory_info.memoryTypeIndex++;
    VkDeviceMemory memory;
    CHECK(vkAllocateMemory(device, &memory_info, NULL, &memory));
    CHECK(vkBindBufferMemory(device, *buffer, memory, 0));
    return 0;
}

static int create_pipeline(VkDevice device, VkDescriptorSetLayout *set_layout,
                           VkPipelineLayout *layout, VkPipeline *pipeline)
{
    VkDescriptorSetLayoutBinding bindings[2] = {{.binding = 0}, {.binding = 1}};
    for (int i = 0; i < 2; i++) {
        bindings[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
        bindings[i].descriptorCount = 1;
        bindings[i].stageFlags = VK_SHADER_STAGE_COMPUTE_BIT;
    }
    VkDescriptorSetLayoutCreateInfo set_info = {TYPE(DESCRIPTOR_SET_LAYOUT_CREATE_INFO),
                                                .bindingCount = 2, .pBindings = bindings};
    CHECK(vkCreateDescriptorSetLayout(device, &set_info, NULL, set_layout));
    VkPipelineLayoutCreateInfo layout_info = {TYPE(PIPELINE_LAYOUT_CREATE_INFO),
                                              .setLayoutCount = 1, .pSetLayouts = set_layout};
    CHECK(vkCreatePipelineLayout(device, &layout_info, NULL, layout));
    VkShaderModuleCreateInfo shader_info = {
        TYPE(SHADER_MODULE_CREATE_INFO), .codeSize = sizeof(hazard_spirv), .pCode = hazard_spirv};
    VkShaderModule shader;
    CHECK(vkCreateShaderModule(device, &shader_info, NULL, &shader));
    VkComputePipelineCreateInfo pipeline_info = {TYPE(COMPUTE_PIPELINE_CREATE_INFO),
                                                 .stage = {TYPE(PIPELINE_SHADER_STAGE_CREATE_INFO),
                                                           .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                                                           .module = shader, .pName = "main"},
                                                 .layout = *layout};
    CHECK(vkCreateComputePipelines(device, VK_NULL_HANDLE, 1, &pipeline_info, NULL, pipeline));
    return 0;
}

static int create_set(VkDevice device, VkDescriptorSetLayout layout, VkBuffer buffer,
                      VkDescriptorSet *set)
{
    VkDescriptorPoolSize size = {VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 2};
    VkDescriptorPoolCreateInfo pool_info = {TYPE(DESCRIPTOR_POOL_CREATE_INFO), .maxSets = 1,
                                            .poolSizeCount = 1, .pPoolSizes = &size};
    VkDescriptorPool pool;
    CHECK(vkCreateDescriptorPool(device, &pool_info, NULL, &pool));
    VkDescriptorSetAllocateInfo set_info = {TYPE(DESCRIPTOR_SET_ALLOCATE_INFO),
                                            .descriptorPool = pool, .descriptorSetCount = 1,
                                            .pSetLayouts = &layout};
    CHECK(vkAllocateDescriptorSets(device, &set_info, set));
    VkDescriptorBufferInfo whole = {buffer, 0, VK_WHOLE_SIZE};
    VkDescriptorBufferInfo ranges[2] = {whole, whole};
    VkWriteDescriptorSet write = {/* The set has bindings 0 and 1. */
                                  TYPE(WRITE_DESCRIPTOR_SET), .dstSet = *set, .descriptorCount = 2,
                                  .descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER,
                                  .pBufferInfo = ranges};
    vkUpdateDescriptorSets(device, 1, &write, 0, NULL);
    return 0;
}

int main(void)
{
    VkPhysicalDevice physical;
    VkDevice device;
    VkBuffer buffer;
    VkDescriptorSetLayout set_layout;
    VkPipelineLayout layout;
    VkPipeline pipeline;
    VkDescriptorSet set;
    if (open_device(&physical, &device) || create_buffer(device, &buffer) ||
        create_pipeline(device, &set_layout, &layout, &pipeline) ||
        create_set(device, set_layout, buffer, &set))
        return 1;

    VkCommandPoolCreateInfo pool_info = {TYPE(COMMAND_POOL_CREATE_INFO)};
    VkCommandPool pool;
    CHECK(vkCreateCommandPool(device, &pool_info, NULL, &pool));
    VkCommandBufferAllocateInfo commands_info = {TYPE(COMMAND_BUFFER_ALLOCATE_INFO),
                                                 .commandPool = pool, .commandBufferCount = 1};
    VkCommandBuffer commands;
    CHECK(vkAllocateCommandBuffers(device, &commands_info, &commands));
    VkCommandBufferBeginInfo begin = {TYPE(COMMAND_BUFFER_BEGIN_INFO)};
    CHECK(vkBeginCommandBuffer(commands, &begin));
    vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline);
    vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, layout, 0, 1, &set, 0, NULL);
    vkCmdDispatch(commands, 256, 1, 1);
    vkCmdDispatch(commands, 256, 1, 1);
    CHECK(vkEndCommandBuffer(commands));
    /* Recording is enough for the layer, so nothing is submitted. The process's end frees
     * everything. */
    return 0;
}
