/* SPDX-License-Identifier: MIT
 *
 * This file has the common layout, the pipelines of a GPU, and their cache on disk. A pipeline that
 * the driver cannot build stays in the list as failed, so that the driver is not asked again.
 */
#include "base/memory.h"
#include "vulkan/internal.h"

#include "base/progress.h"
#include "base/cache.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/settings.h"
#include "base/string.h"
#include "base/turns.h"
#include "base/workers.h"

#include <stdio.h>
#include <string.h>

/* ---- Layout ---------------------------------------------------------------------------------- */

static int create_set_layout(struct gpu *gpu, VkDescriptorType type, VkDescriptorSetLayout *layout)
{
    VkDescriptorSetLayoutBinding bindings[GPU_BINDINGS];
    for (uint32_t i = 0; i < GPU_BINDINGS; i++)
        bindings[i] = (VkDescriptorSetLayoutBinding){.binding = i,
                                                     .descriptorType = type,
                                                     .descriptorCount = 1,
                                                     .stageFlags = VK_SHADER_STAGE_COMPUTE_BIT};
    VkDescriptorSetLayoutCreateInfo info = {.sType =
                                                VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO,
                                            .bindingCount = GPU_BINDINGS,
                                            .pBindings = bindings};
    return vulkan_check(gpu->vk.CreateDescriptorSetLayout(gpu->device, &info, NULL, layout),
                        "vkCreateDescriptorSetLayout");
}

static int create_layout(struct gpu *gpu)
{
    VkPushConstantRange push = {VK_SHADER_STAGE_COMPUTE_BIT, 0, GPU_PUSH_BYTES};
    VkPipelineLayoutCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO,
                                       .setLayoutCount = 2,
                                       .pSetLayouts = gpu->set_layouts,
                                       .pushConstantRangeCount = 1,
                                       .pPushConstantRanges = &push};
    int error = create_set_layout(gpu, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, &gpu->set_layouts[0]);
    if (!error)
        error =
            create_set_layout(gpu, VK_DESCRIPTOR_TYPE_UNIFORM_TEXEL_BUFFER, &gpu->set_layouts[1]);
    if (!error)
        error = vulkan_check(gpu->vk.CreatePipelineLayout(gpu->device, &info, NULL, &gpu->layout),
                             "vkCreatePipelineLayout");
    return error;
}

/* ---- Cache on disk --------------------------------------------------------------------------- */

char *gpu_cache_path(const struct gpu *gpu, const char *kind)
{
    VkPhysicalDeviceProperties p;
    if (!gpu->cache_folder)
        return NULL;
    gpu->physical.vk->GetPhysicalDeviceProperties(gpu->physical.handle, &p);
    uint64_t hash = hash_bytes(0, p.pipelineCacheUUID, sizeof(p.pipelineCacheUUID));
    hash = hash_bytes(hash, gpu->info.driver, strlen(gpu->info.driver));
    char *name = string_format("%s-%08x-%08x-%08x-%016llx", kind, p.vendorID, p.deviceID,
                               p.driverVersion, (unsigned long long)hash);
    char *path = name ? cache_path(gpu->cache_folder, name) : NULL;
    memory_free(name);
    return path;
}

/* Creates the pipeline cache from the file on disk. If the driver refuses the data of the file, the
 * cache begins empty. */
static int open_cache(struct gpu *gpu)
{
    struct cache_content content;
    gpu->cache_path = gpu_cache_path(gpu, "pipelines");
    cache_read(gpu->cache_path, &content);
    VkPipelineCacheCreateInfo info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO,
                                      .initialDataSize = content.size,
                                      .pInitialData = content.data};
    VkResult result = gpu->vk.CreatePipelineCache(gpu->device, &info, NULL, &gpu->cache);
    if (result != VK_SUCCESS && info.initialDataSize) {
        info.initialDataSize = 0;
        result = gpu->vk.CreatePipelineCache(gpu->device, &info, NULL, &gpu->cache);
    }
    cache_release(&content);
    return vulkan_check(result, "vkCreatePipelineCache");
}

/* Writes the cache to disk. A cache that cannot be written is no failure, because the next process
 * can build its pipelines again. */
static void save_cache(struct gpu *gpu)
{
    size_t size = 0;
    if (!gpu->cache_path || !gpu->cache || !gpu->cache_changed)
        return;
    if (gpu->vk.GetPipelineCacheData(gpu->device, gpu->cache, &size, NULL) != VK_SUCCESS)
        return;
    void *data = memory_alloc(size + 1);
    if (data && gpu->vk.GetPipelineCacheData(gpu->device, gpu->cache, &size, data) == VK_SUCCESS)
        cache_write(gpu->cache_path, data, size);
    memory_free(data);
}

int pipelines_open(struct gpu *gpu)
{
    int error = create_layout(gpu);
    return error ? error : open_cache(gpu);
}

void pipelines_close(struct gpu *gpu)
{
    save_cache(gpu);
    while (gpu->pipelines) {
        struct gpu_pipeline *pipeline = gpu->pipelines;
        gpu->pipelines = pipeline->next;
        gpu->vk.DestroyPipeline(gpu->device, pipeline->pipeline, NULL);
        memory_free(pipeline);
    }
    gpu->vk.DestroyPipelineCache(gpu->device, gpu->cache, NULL);
    gpu->vk.DestroyPipelineLayout(gpu->device, gpu->layout, NULL);
    for (int i = 0; i < 2; i++)
        gpu->vk.DestroyDescriptorSetLayout(gpu->device, gpu->set_layouts[i], NULL);
    memory_free(gpu->cache_path);
    gpu->cache_path = NULL;
}

/* ---- Building -------------------------------------------------------------------------------- */

static VkResult create_pipeline(const struct gpu *gpu, struct gpu_pipeline *pipeline,
                                VkShaderModule module)
{
    VkSpecializationMapEntry entries[GPU_CONSTANTS];
    for (uint32_t i = 0; i < pipeline->count; i++)
        entries[i] = (VkSpecializationMapEntry){i, 4 * i, 4};
    VkSpecializationInfo constants = {pipeline->count, entries, 4 * (size_t)pipeline->count,
                                      pipeline->constants};
    VkComputePipelineCreateInfo info = {
        .sType = VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO,
        .stage = {.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO,
                  .stage = VK_SHADER_STAGE_COMPUTE_BIT,
                  .module = module,
                  .pName = "main",
                  .pSpecializationInfo = &constants},
        .layout = gpu->layout};
    VkPipelineShaderStageRequiredSubgroupSizeCreateInfoEXT width = {
        .sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_REQUIRED_SUBGROUP_SIZE_CREATE_INFO_EXT,
        .requiredSubgroupSize = gpu->required_subgroup};
    if (pipeline->caps & (CAP_SUBGROUP | CAP_COOPMAT16)) {
        info.stage.flags = VK_PIPELINE_SHADER_STAGE_CREATE_REQUIRE_FULL_SUBGROUPS_BIT_EXT;
        if (gpu->required_subgroup)
            info.stage.pNext = &width;
    }
    if (gpu->statistics)
        info.flags = VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR |
                     VK_PIPELINE_CREATE_CAPTURE_INTERNAL_REPRESENTATIONS_BIT_KHR;
    VkResult result = gpu->vk.CreateComputePipelines(gpu->device, gpu->cache, 1, &info, NULL,
                                                     &pipeline->pipeline);
    if (result == VK_SUCCESS && !pipeline->pipeline) /* some drivers fail without saying so */
        result = VK_ERROR_UNKNOWN;
    return result;
}

/* Builds a pipeline, given the words of its module's block. It runs on any thread, so it changes
 * nothing but the pipeline. */
static VkResult build_pipeline(const struct gpu *gpu, struct gpu_pipeline *pipeline,
                               const uint32_t *block)
{
    VkShaderModule module = VK_NULL_HANDLE;
    VkShaderModuleCreateInfo info = {.sType = VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO,
                                     .codeSize = 4 * pipeline->code.count,
                                     .pCode = spirv_words(&pipeline->code, block)};
    if (settings_list_has(gpu->disabled_kernels, pipeline->name))
        return VK_ERROR_FEATURE_NOT_PRESENT;
    VkResult result = gpu->vk.CreateShaderModule(gpu->device, &info, NULL, &module);
    if (result != VK_SUCCESS)
        return result;
    result = create_pipeline(gpu, pipeline, module);
    gpu->vk.DestroyShaderModule(gpu->device, module, NULL);
    return result;
}

/* Builds a pipeline and keeps and logs its result. */
static void finish_pipeline(const struct gpu *gpu, struct gpu_pipeline *pipeline,
                            const uint32_t *block)
{
    pipeline->result = build_pipeline(gpu, pipeline, block);
    if (pipeline->result != VK_SUCCESS)
        log_message(VKCLIP_LOG_WARNING, "%s: the driver cannot build kernel %s (VkResult %d)",
                    gpu->info.name, pipeline->name, (int)pipeline->result);
}

/* A block of modules that pipelines are built from, which is unpacked once for all of them. */
struct unpacked {
    const struct spirv_block *block;
    uint32_t *words;
};

struct building {
    const struct gpu *gpu;
    struct gpu_pipeline **pipelines;
    struct unpacked *blocks;
    size_t count, block_count;
};

static struct unpacked *find_block(const struct building *building, const struct spirv_block *block)
{
    for (size_t i = 0; i < building->block_count; i++)
        if (building->blocks[i].block == block)
            return &building->blocks[i];
    return NULL;
}

static int unpack_job(void *user, size_t index, unsigned thread)
{
    const struct building *building = user;
    (void)thread;
    return spirv_unpack(building->blocks[index].block, &building->blocks[index].words);
}

/* Builds one announced pipeline, unless other calls are to go first. The job succeeds even if the
 * pipeline cannot be built, so that the other pipelines are still built, unless the call is
 * cancelled. */
static int build_job(void *user, size_t index, unsigned thread)
{
    const struct building *building = user;
    (void)thread;
    struct gpu_pipeline *pipeline = building->pipelines[index];
    const struct unpacked *unpacked = find_block(building, pipeline->code.block);
    const int error = progress_check();
    if (!error && !turn_pause_is_wanted())
        finish_pipeline(building->gpu, pipeline, unpacked ? unpacked->words : NULL);
    return error;
}

/* Lists the pipelines that are not built yet, and the blocks with their modules. */
static void list_pipelines(const struct gpu *gpu, struct building *building)
{
    for (struct gpu_pipeline *p = gpu->pipelines; p; p = p->next) {
        if (p->result != VK_NOT_READY)
            continue;
        building->pipelines[building->count++] = p;
        if (p->code.block && !find_block(building, p->code.block))
            building->blocks[building->block_count++].block = p->code.block;
    }
}

static size_t count_unbuilt(const struct gpu *gpu)
{
    size_t count = 0;
    for (const struct gpu_pipeline *p = gpu->pipelines; p; p = p->next)
        count += p->result == VK_NOT_READY;
    return count;
}

/* Builds the pipelines that are not built, or some of them if other calls are to go first. */
static int build_unbuilt(struct gpu *gpu, size_t count)
{
    struct building building = {.gpu = gpu,
                                .pipelines = memory_calloc(count, sizeof(*building.pipelines)),
                                .blocks = memory_calloc(count, sizeof(*building.blocks))};
    int error = VKCLIP_OK;
    if (!building.pipelines || !building.blocks)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for pipelines");
    else
        list_pipelines(gpu, &building);
    if (!error)
        error = workers_run(gpu->workers, unpack_job, &building, building.block_count);
    if (!error) {
        gpu->cache_changed = true;
        error = workers_run(gpu->workers, build_job, &building, building.count);
    }
    for (size_t i = 0; i < building.block_count; i++)
        memory_free(building.blocks[i].words);
    memory_free(building.blocks);
    memory_free(building.pipelines);
    return error;
}

int gpu_pipelines_build(struct gpu *gpu)
{
    int error = VKCLIP_OK;
    for (size_t count = count_unbuilt(gpu); count && !error; count = count_unbuilt(gpu)) {
        error = build_unbuilt(gpu, count);
        if (!error)
            error = turn_pause();
    }
    return error;
}

/* ---- The list of pipelines ------------------------------------------------------------------- */

static struct gpu_pipeline *find_pipeline(const struct gpu *gpu, const struct spirv *code,
                                          uint32_t caps, const uint32_t *constants, uint32_t count)
{
    for (struct gpu_pipeline *p = gpu->pipelines; p; p = p->next)
        if (spirv_equal(&p->code, code) && p->caps == caps && p->count == count &&
            !memcmp(p->constants, constants, 4 * count))
            return p;
    return NULL;
}

int gpu_pipeline_announce(struct gpu *gpu, const char *name, const struct spirv *code,
                          uint32_t caps, const uint32_t *constants, uint32_t count,
                          struct gpu_pipeline **result)
{
    struct gpu_pipeline *pipeline = *result = find_pipeline(gpu, code, caps, constants, count);
    if (pipeline)
        return VKCLIP_OK;
    pipeline = *result = memory_calloc(1, sizeof(*pipeline));
    if (!pipeline)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a pipeline");
    *pipeline = (struct gpu_pipeline){.result = VK_NOT_READY,
                                      .name = name,
                                      .code = *code,
                                      .caps = caps,
                                      .count = count,
                                      .next = gpu->pipelines};
    memcpy(pipeline->constants, constants, 4 * count);
    gpu->pipelines = pipeline;
    return VKCLIP_OK;
}

struct gpu_pipeline *gpu_pipeline_newest(const struct gpu *gpu)
{
    return gpu->pipelines;
}

const uint32_t *gpu_pipeline_constants(const struct gpu_pipeline *pipeline, uint32_t *count)
{
    *count = pipeline->count;
    return pipeline->constants;
}

/* Fails with EDEVICE for a pipeline that could not be built. The message is not logged, because
 * finish_pipeline logged it, and another kernel may be usable. */
static int check_pipeline(const struct gpu *gpu, const struct gpu_pipeline *pipeline)
{
    char message[512];
    if (pipeline->result == VK_SUCCESS)
        return VKCLIP_OK;
    if (pipeline->result == VK_ERROR_DEVICE_LOST)
        return vulkan_check(pipeline->result, "vkCreateComputePipelines");
    snprintf(message, sizeof(message), "%s: the driver cannot build kernel %s (VkResult %d)",
             gpu->info.name, pipeline->name, (int)pipeline->result);
    error_keep(message);
    return VKCLIP_EDEVICE;
}

int gpu_pipeline_build(struct gpu *gpu, struct gpu_pipeline *pipeline)
{
    uint32_t *block = NULL;
    if (pipeline->result == VK_NOT_READY) {
        int error = pipeline->code.block ? spirv_unpack(pipeline->code.block, &block) : VKCLIP_OK;
        if (error)
            return error;
        finish_pipeline(gpu, pipeline, block);
        memory_free(block);
    }
    return check_pipeline(gpu, pipeline);
}

int gpu_pipeline_get(struct gpu *gpu, const char *name, const struct spirv *code, uint32_t caps,
                     const uint32_t *constants, uint32_t count, struct gpu_pipeline **result)
{
    int error = gpu_pipeline_announce(gpu, name, code, caps, constants, count, result);
    if (!error && (*result)->result == VK_NOT_READY)
        error = gpu_pipelines_build(gpu);
    return error ? error : check_pipeline(gpu, *result);
}
