/* SPDX-License-Identifier: MIT
 *
 * Finds the class of a device, which decides the order in which kernels are preferred where nothing
 * was measured, the width of its subgroups, and how many workgroups it runs side by side.
 */
#include "vulkan/internal.h"

#include "base/array.h"

/* Vulkan's list of drivers has this number for Mesa's driver of Apple's GPUs, whose vendor is Mesa
 * as that of its software drivers is. Older headers do not know it. */
#define DRIVER_HONEYKRISP 26

/* Mesa encodes its version as Vulkan does. */
#define MESA_26 VK_MAKE_VERSION(26, 0, 0)

/* Each row gives the class of the devices of a vendor or of a driver; 0 stands for any. A device
 * whose narrowest subgroup is narrower than `narrowest`, or whose driver is older than `oldest`, is
 * not of the row. The first row counts. */
static const struct {
    uint32_t vendor, driver, narrowest, oldest;
    enum gpu_class class;
} rows[] = {
    {VENDOR_AMD, 0, 64, 0, GPU_GCN}, /* before RDNA all subgroups have 64 lanes */
    {VENDOR_AMD, 0, 0, 0, GPU_RDNA},
    {VENDOR_NVIDIA, 0, 0, 0, GPU_NVIDIA},
    {VENDOR_QUALCOMM, 0, 0, 0, GPU_ADRENO},
    {VENDOR_APPLE, 0, 0, 0, GPU_APPLE}, /* MoltenVK and KosmicKrisp */
    {0, DRIVER_HONEYKRISP, 0, 0, GPU_APPLE},
    {VENDOR_INTEL, 0, 0, 0, GPU_INTEL},
    {VENDOR_ARM, 0, 0, 0, GPU_MOBILE},
    {VENDOR_IMAGINATION, 0, 0, 0, GPU_MOBILE},
    {VENDOR_BROADCOM, 0, 0, 0, GPU_MOBILE},
    {0, VK_DRIVER_ID_MESA_LLVMPIPE, 0, MESA_26, GPU_LAVAPIPE},
};

/* A GPU whose driver does not tell its units is taken for a small one of its type: with too low a
 * number, results of few rows are computed by fewer workgroups than would be best. */
#define DISCRETE_UNITS 32
#define INTEGRATED_UNITS 16

static uint32_t guess_units(enum vkclip_device_type type)
{
    if (type == VKCLIP_DEVICE_CPU)
        return 0;
    return type == VKCLIP_DEVICE_DISCRETE ? DISCRETE_UNITS : INTEGRATED_UNITS;
}

/* Counts the units of a device by the extension of its vendor. 0: the driver does not tell. */
static uint32_t count_units(const struct description *description)
{
    VkPhysicalDeviceShaderSMBuiltinsPropertiesNV nvidia = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_SM_BUILTINS_PROPERTIES_NV};
    VkPhysicalDeviceShaderCoreProperties2AMD amd = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_PROPERTIES_2_AMD};
    VkPhysicalDeviceShaderCoreBuiltinsPropertiesARM arm = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_CORE_BUILTINS_PROPERTIES_ARM};
    const struct {
        const char *extension;
        void *properties;
        const uint32_t *units;
    } vendors[] = {
        {"VK_NV_shader_sm_builtins", &nvidia, &nvidia.shaderSMCount},
        {"VK_AMD_shader_core_properties2", &amd, &amd.activeComputeUnitCount},
        {"VK_ARM_shader_core_builtins", &arm, &arm.shaderCoreCount},
    };
    for (size_t i = 0; i < ARRAY_COUNT(vendors); i++) {
        VkPhysicalDeviceProperties2 properties = {
            .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2,
            .pNext = vendors[i].properties};
        bool has = false;
        if (probe_has_extension(description->physical, vendors[i].extension, &has) || !has)
            continue;
        description->physical.vk->GetPhysicalDeviceProperties2(description->physical.handle,
                                                               &properties);
        if (*vendors[i].units)
            return *vendors[i].units;
    }
    return 0;
}

void class_find(const struct description *description, struct gpu_limits *limits)
{
    VkPhysicalDeviceSubgroupSizeControlPropertiesEXT control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT};
    VkPhysicalDeviceSubgroupProperties subgroup = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, .pNext = &control};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &subgroup};
    description->physical.vk->GetPhysicalDeviceProperties2(description->physical.handle,
                                                           &properties);
    limits->wave = control.minSubgroupSize ? control.minSubgroupSize : subgroup.subgroupSize;
    limits->units = count_units(description);
    limits->units_told = limits->units > 0;
    if (!limits->units_told)
        limits->units = guess_units(description->info.type);
    limits->class = GPU_OTHER;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if ((rows[i].vendor && rows[i].vendor != description->info.vendor_id) ||
            (rows[i].driver && rows[i].driver != (uint32_t)description->driver) ||
            limits->wave < rows[i].narrowest || description->driver_version < rows[i].oldest)
            continue;
        limits->class = rows[i].class;
        return;
    }
}
