/* SPDX-License-Identifier: MIT
 *
 * Finds the class of a device, which decides the order in which kernels are preferred where nothing
 * was measured, and the width of its subgroups.
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

void class_find(const struct description *description, struct gpu_limits *limits)
{
    VkPhysicalDeviceSubgroupSizeControlPropertiesEXT control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT};
    VkPhysicalDeviceSubgroupProperties subgroup = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, .pNext = &control};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &subgroup};
    vkGetPhysicalDeviceProperties2(description->physical, &properties);
    limits->wave = control.minSubgroupSize ? control.minSubgroupSize : subgroup.subgroupSize;
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
