/* SPDX-License-Identifier: MIT
 *
 * Chooses devices by what is known of all of them: which is the best, which are one GPU under two
 * drivers, and which one a name means. A name that no usable device has, or that several GPUs have,
 * is refused.
 */
#include "base/memory.h"
#include "vulkan/internal.h"

#include "base/array.h"
#include "base/error.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Older headers lack this name. */
#define DRIVER_NVK ((VkDriverId)24)

/* Two drivers of one GPU stand here in the order of preference. */
static const VkDriverId preferred[] = {
    VK_DRIVER_ID_MESA_RADV,
    VK_DRIVER_ID_AMD_OPEN_SOURCE,
    VK_DRIVER_ID_AMD_PROPRIETARY,
    VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA,
    VK_DRIVER_ID_INTEL_PROPRIETARY_WINDOWS,
    VK_DRIVER_ID_NVIDIA_PROPRIETARY,
    DRIVER_NVK,
    VK_DRIVER_ID_MESA_TURNIP,
    VK_DRIVER_ID_QUALCOMM_PROPRIETARY,
};

/* Returns a driver's place in the order; other drivers come after those, and before Dozen, which
 * runs on another driver. */
static size_t driver_place(VkDriverId driver)
{
    size_t place = 0;
    while (place < ARRAY_COUNT(preferred) && preferred[place] != driver)
        place++;
    return place + (driver == VK_DRIVER_ID_MESA_DOZEN);
}

static bool is_same_gpu(const struct description *a, const struct description *b)
{
    static const uint8_t none[sizeof(a->info.uuid)];
    if (a->info.has_luid && b->info.has_luid &&
        !memcmp(a->info.luid, b->info.luid, sizeof(a->info.luid)))
        return true;
    return memcmp(a->info.uuid, none, sizeof(none)) &&
           !memcmp(a->info.uuid, b->info.uuid, sizeof(none));
}

/* Tells whether `a` drives a GPU better than `b` drives the same one. */
static bool is_better_driver(const struct description *a, const struct description *b)
{
    const size_t place_a = driver_place(a->driver), place_b = driver_place(b->driver);
    if (a->conformant != b->conformant)
        return a->conformant;
    return place_a != place_b ? place_a < place_b : a->info.index < b->info.index;
}

static bool is_better_device(const struct description *a, const struct description *b)
{
    const bool dozen_a = a->driver == VK_DRIVER_ID_MESA_DOZEN;
    const bool dozen_b = b->driver == VK_DRIVER_ID_MESA_DOZEN;
    if (a->conformant != b->conformant)
        return a->conformant;
    if (dozen_a != dozen_b)
        return dozen_b;
    if (a->info.type != b->info.type)
        return a->info.type > b->info.type;
    if (a->info.memory != b->info.memory)
        return a->info.memory > b->info.memory;
    return a->info.index < b->info.index;
}

bool gpu_name_has(const char *name, const char *part)
{
    for (; *name; name++) {
        size_t i = 0;
        while (part[i] && tolower((unsigned char)name[i]) == tolower((unsigned char)part[i]))
            i++;
        if (!part[i])
            return true;
    }
    return false;
}

static bool is_wanted(const struct vkclip_device_info *info, const char *wanted)
{
    char *end = NULL;
    if (!wanted)
        return true;
    unsigned long number = strtoul(wanted, &end, 10);
    if (isdigit((unsigned char)*wanted) && !*end)
        return number == info->index;
    return gpu_name_has(info->name, wanted);
}

/* Lists the usable devices that `wanted` means, each GPU with its best driver only. */
static uint32_t list_wanted(const struct description *devices, uint32_t count, const char *wanted,
                            uint32_t *list)
{
    uint32_t listed = 0;
    for (uint32_t i = 0; i < count; i++) {
        const struct description *device = &devices[i];
        bool best = device->info.usable && is_wanted(&device->info, wanted);
        for (uint32_t j = 0; j < count && best; j++)
            best = j == i || !devices[j].info.usable || !is_wanted(&devices[j].info, wanted) ||
                   !is_same_gpu(device, &devices[j]) || is_better_driver(device, &devices[j]);
        if (best)
            list[listed++] = i;
    }
    return listed;
}

/* Returns the number of the best device of a list, or list[0] if the list is empty. */
static uint32_t find_best(const struct description *devices, const uint32_t *list, uint32_t listed)
{
    uint32_t best = list[0];
    for (uint32_t i = 1; i < listed; i++)
        if (is_better_device(&devices[list[i]], &devices[best]))
            best = list[i];
    return best;
}

static int check_matches(const char *wanted, uint32_t matches, uint32_t count)
{
    if (!matches && wanted)
        return error_fail(VKCLIP_ENODEVICE,
                          "no usable Vulkan device matches \"%s\" among %u found: "
                          "`vkclip_list_devices` lists them",
                          wanted, count);
    if (!matches)
        return error_fail(VKCLIP_ENODEVICE, "no usable Vulkan device among %u found", count);
    if (wanted && matches > 1)
        return error_fail(
            VKCLIP_ENODEVICE,
            "\"%s\" is part of the names of %u devices: give a longer part, or a device's number",
            wanted, matches);
    return VKCLIP_OK;
}

int choose_one(const struct description *devices, uint32_t count, const char *wanted,
               uint32_t *chosen)
{
    uint32_t *list = memory_calloc(count + 1, sizeof(*list));
    if (!list)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of devices");
    const uint32_t listed = list_wanted(devices, count, wanted, list);
    *chosen = find_best(devices, list, listed);
    memory_free(list);
    return check_matches(wanted, listed, count);
}

/* Keeps the devices of a list that are as good as its best one in what `all` asks for: a conformant
 * driver on a GPU of its own, and no CPU beside a GPU. */
static bool belongs_to_all(const struct description *device, const struct description *best)
{
    if (device->conformant != best->conformant)
        return false;
    if ((device->driver == VK_DRIVER_ID_MESA_DOZEN) != (best->driver == VK_DRIVER_ID_MESA_DOZEN))
        return false;
    return (device->info.type == VKCLIP_DEVICE_CPU) == (best->info.type == VKCLIP_DEVICE_CPU);
}

uint32_t choose_all(const struct description *devices, uint32_t count, uint32_t *chosen)
{
    const uint32_t listed = list_wanted(devices, count, NULL, chosen);
    const uint32_t best = listed ? find_best(devices, chosen, listed) : 0;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < listed; i++)
        if (belongs_to_all(&devices[chosen[i]], &devices[best]))
            chosen[kept++] = chosen[i];
    return kept;
}
