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

/* Each row gives the class of the devices of a vendor or of a driver; 0 stands for any. A device
 * whose narrowest subgroup is narrower than `narrowest` is not of the row. The first row counts. */
static const struct {
    uint32_t vendor, driver, narrowest;
    enum gpu_class class;
} rows[] = {
    {0x1002, 0, 64, GPU_GCN}, /* AMD: before RDNA all subgroups have 64 lanes */
    {0x1002, 0, 0, GPU_RDNA},
    {0x10de, 0, 0, GPU_NVIDIA},
    {0x5143, 0, 0, GPU_ADRENO},
    {0x106b, 0, 0, GPU_APPLE}, /* MoltenVK and KosmicKrisp */
    {0, DRIVER_HONEYKRISP, 0, GPU_APPLE},
    {0x8086, 0, 0, GPU_INTEL},
    {0x13b5, 0, 0, GPU_MOBILE}, /* Arm */
    {0x1010, 0, 0, GPU_MOBILE}, /* Imagination */
    {0x14e4, 0, 0, GPU_MOBILE}, /* Broadcom */
};

void class_find(VkPhysicalDevice physical, struct gpu_limits *limits)
{
    VkPhysicalDeviceDriverProperties driver = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES};
    VkPhysicalDeviceSubgroupSizeControlPropertiesEXT control = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT};
    VkPhysicalDeviceSubgroupProperties subgroup = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES, .pNext = &control};
    VkPhysicalDeviceProperties2 properties = {
        .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, .pNext = &subgroup};
    vkGetPhysicalDeviceProperties(physical, &properties.properties);
    if (properties.properties.apiVersion >= VK_API_VERSION_1_2)
        control.pNext = &driver;
    vkGetPhysicalDeviceProperties2(physical, &properties);
    limits->wave = control.minSubgroupSize ? control.minSubgroupSize : subgroup.subgroupSize;
    limits->class = GPU_OTHER;
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        if ((rows[i].vendor && rows[i].vendor != properties.properties.vendorID) ||
            (rows[i].driver && rows[i].driver != (uint32_t)driver.driverID) ||
            limits->wave < rows[i].narrowest)
            continue;
        limits->class = rows[i].class;
        return;
    }
}
