/* SPDX-License-Identifier: MIT
 *
 * Reads how a driver compiled a pipeline: registers, spills, instructions, whatever else it counts,
 * and the assembly (VK_KHR_pipeline_executable_properties). Drivers without the extension say
 * nothing.
 */
#include "base/memory.h"
#include "vulkan/internal.h"

#include "base/array.h"
#include "base/error.h"

#include <stdio.h>

int statistics_enable(struct gpu *gpu, struct features *f,
                      VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR *feature)
{
    static const char extension[] = VK_KHR_PIPELINE_EXECUTABLE_PROPERTIES_EXTENSION_NAME;
    int error = probe_has_extension(gpu->physical, extension, &gpu->statistics);
    gpu->statistics &= f->extension_count < ARRAY_COUNT(f->extensions);
    if (!gpu->statistics)
        return error;
    *feature = (VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR){
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
        .pNext = f->core.pNext,
        .pipelineExecutableInfo = VK_TRUE};
    f->core.pNext = feature;
    f->extensions[f->extension_count++] = extension;
    return VKCLIP_OK;
}

static double statistic_value(const VkPipelineExecutableStatisticKHR *statistic)
{
    switch (statistic->format) {
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR:
        return statistic->value.b32;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_INT64_KHR:
        return (double)statistic->value.i64;
    case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_UINT64_KHR:
        return (double)statistic->value.u64;
    default:
        return statistic->value.f64;
    }
}

/* Reads the statistics of the first executable. A driver may list more for one shader, such as the
 * instructions that run once per dispatch, but the first one is what its invocations run. */
int gpu_pipeline_statistics(const struct gpu *gpu, const struct gpu_pipeline *pipeline,
                            struct gpu_statistic *statistics, size_t capacity, size_t *count)
{
    static const char call[] = "vkGetPipelineExecutableStatisticsKHR";
    VkPipelineExecutableStatisticKHR read[64];
    const VkPipelineExecutableInfoKHR executable = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = pipeline->pipeline};
    uint32_t found = ARRAY_COUNT(read);
    *count = 0;
    if (!gpu->statistics)
        return VKCLIP_OK;
    for (uint32_t i = 0; i < found; i++)
        read[i] = (VkPipelineExecutableStatisticKHR){
            .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR};
    VkResult result =
        gpu->vk.GetPipelineExecutableStatisticsKHR(gpu->device, &executable, &found, read);
    if (result != VK_SUCCESS && result != VK_INCOMPLETE)
        return vulkan_check(result, call);
    for (uint32_t i = 0; i < found && *count < capacity; i++) {
        struct gpu_statistic *statistic = &statistics[(*count)++];
        snprintf(statistic->name, sizeof(statistic->name), "%.63s", read[i].name);
        statistic->value = statistic_value(&read[i]);
    }
    return VKCLIP_OK;
}

/* Makes room for the texts of the forms, which the driver fills in when it is asked again. */
static bool reserve_texts(VkPipelineExecutableInternalRepresentationKHR *forms, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        forms[i].pData = memory_alloc(forms[i].dataSize + 1);
        if (!forms[i].pData)
            return false;
    }
    return true;
}

int gpu_pipeline_write_forms(const struct gpu *gpu, const struct gpu_pipeline *pipeline, FILE *file)
{
    static const char call[] = "vkGetPipelineExecutableInternalRepresentationsKHR";
    VkPipelineExecutableInternalRepresentationKHR forms[16];
    const VkPipelineExecutableInfoKHR executable = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = pipeline->pipeline};
    uint32_t count = ARRAY_COUNT(forms);
    if (!gpu->statistics)
        return VKCLIP_OK;
    for (uint32_t i = 0; i < count; i++)
        forms[i] = (VkPipelineExecutableInternalRepresentationKHR){
            .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INTERNAL_REPRESENTATION_KHR};
    int error = vulkan_check(gpu->vk.GetPipelineExecutableInternalRepresentationsKHR(
                                 gpu->device, &executable, &count, forms),
                             call);
    if (!error && !reserve_texts(forms, count))
        error = error_fail(VKCLIP_EMEMORY, "out of memory for the assembly of a pipeline");
    if (!error)
        error = vulkan_check(gpu->vk.GetPipelineExecutableInternalRepresentationsKHR(
                                 gpu->device, &executable, &count, forms),
                             call);
    for (uint32_t i = 0; i < ARRAY_COUNT(forms); i++) {
        if (!error && i < count && forms[i].isText)
            fprintf(file, "==== %s\n%.*s\n", forms[i].name, (int)forms[i].dataSize,
                    (const char *)forms[i].pData);
        memory_free(forms[i].pData);
    }
    return error;
}
