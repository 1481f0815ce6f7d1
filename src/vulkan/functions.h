/* SPDX-License-Identifier: MIT
 *
 * Lists the functions of Vulkan that the library calls, in tables of pointers: one for each
 * instance and one for each device. The process may have other instances, and the program that
 * links the library may have functions of the same names, so that no pointer has a name of its own.
 */
#ifndef VKCLIP_VULKAN_FUNCTIONS_H
#define VKCLIP_VULKAN_FUNCTIONS_H

#define VK_NO_PROTOTYPES
#include <vulkan/vulkan_core.h>

#include "vulkan/cooperative_matrix.h"

/* These need no instance. Loaders of Vulkan 1.0 lack EnumerateInstanceVersion. */
#define GLOBAL_FUNCTIONS(X)                 \
    X(CreateInstance)                       \
    X(EnumerateInstanceExtensionProperties) \
    X(EnumerateInstanceVersion)

/* The last one is NULL where the loader or the driver lacks it. */
#define INSTANCE_FUNCTIONS(X)                 \
    X(CreateDevice)                           \
    X(DestroyInstance)                        \
    X(EnumerateDeviceExtensionProperties)     \
    X(EnumeratePhysicalDevices)               \
    X(GetDeviceProcAddr)                      \
    X(GetPhysicalDeviceFeatures2)             \
    X(GetPhysicalDeviceFormatProperties)      \
    X(GetPhysicalDeviceMemoryProperties)      \
    X(GetPhysicalDeviceMemoryProperties2)     \
    X(GetPhysicalDeviceProperties)            \
    X(GetPhysicalDeviceProperties2)           \
    X(GetPhysicalDeviceQueueFamilyProperties) \
    X(GetPhysicalDeviceCooperativeMatrixPropertiesKHR)

/* Those with KHR or EXT are NULL where their extensions are not enabled. */
#define DEVICE_FUNCTIONS(X)                            \
    X(AllocateCommandBuffers)                          \
    X(AllocateDescriptorSets)                          \
    X(AllocateMemory)                                  \
    X(BeginCommandBuffer)                              \
    X(BindBufferMemory)                                \
    X(CmdBindDescriptorSets)                           \
    X(CmdBindPipeline)                                 \
    X(CmdCopyBuffer)                                   \
    X(CmdCopyImageToBuffer)                            \
    X(CmdDispatch)                                     \
    X(CmdPipelineBarrier)                              \
    X(CmdPushConstants)                                \
    X(CmdResetQueryPool)                               \
    X(CmdWriteTimestamp)                               \
    X(CreateBuffer)                                    \
    X(CreateBufferView)                                \
    X(CreateCommandPool)                               \
    X(CreateComputePipelines)                          \
    X(CreateDescriptorPool)                            \
    X(CreateDescriptorSetLayout)                       \
    X(CreateFence)                                     \
    X(CreatePipelineCache)                             \
    X(CreatePipelineLayout)                            \
    X(CreateQueryPool)                                 \
    X(CreateSemaphore)                                 \
    X(CreateShaderModule)                              \
    X(DestroyBuffer)                                   \
    X(DestroyBufferView)                               \
    X(DestroyCommandPool)                              \
    X(DestroyDescriptorPool)                           \
    X(DestroyDescriptorSetLayout)                      \
    X(DestroyDevice)                                   \
    X(DestroyFence)                                    \
    X(DestroyPipeline)                                 \
    X(DestroyPipelineCache)                            \
    X(DestroyPipelineLayout)                           \
    X(DestroyQueryPool)                                \
    X(DestroySemaphore)                                \
    X(DestroyShaderModule)                             \
    X(DeviceWaitIdle)                                  \
    X(EndCommandBuffer)                                \
    X(FreeCommandBuffers)                              \
    X(FreeMemory)                                      \
    X(GetBufferDeviceAddressKHR)                       \
    X(GetBufferMemoryRequirements)                     \
    X(GetDeviceQueue)                                  \
    X(GetFenceStatus)                                  \
    X(GetMemoryHostPointerPropertiesEXT)               \
    X(GetPipelineCacheData)                            \
    X(GetPipelineExecutableInternalRepresentationsKHR) \
    X(GetPipelineExecutableStatisticsKHR)              \
    X(GetQueryPoolResults)                             \
    X(MapMemory)                                       \
    X(QueueSubmit)                                     \
    X(ResetFences)                                     \
    X(UpdateDescriptorSets)                            \
    X(WaitForFences)

#define X(name) PFN_vk##name name;
struct global_functions {
    GLOBAL_FUNCTIONS(X)
};
struct instance_functions {
    INSTANCE_FUNCTIONS(X)
};
struct device_functions {
    DEVICE_FUNCTIONS(X)
};
#undef X

/* Finds Vulkan's loader on this machine, once per process, and returns its function by which all
 * others are found, or NULL if there is none. Calls of it must not overlap. */
PFN_vkGetInstanceProcAddr functions_find_loader(void);
void functions_load_global(PFN_vkGetInstanceProcAddr get, struct global_functions *functions);
void functions_load_instance(PFN_vkGetInstanceProcAddr get, VkInstance instance,
                             struct instance_functions *functions);
void functions_load_device(const struct instance_functions *instance, VkDevice device,
                           struct device_functions *functions);

#endif
