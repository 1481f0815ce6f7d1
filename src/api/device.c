/* SPDX-License-Identifier: MIT
 *
 * Public functions of devices: from names to open GPUs.
 */
#include "api/device.h"
#include "base/error.h"
#include "base/settings.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/tune.h"

int vkclip_list_devices(struct vkclip_device_info *infos, size_t capacity, size_t *count)
{
    if (!count || (!infos && capacity))
        return error_fail(VKCLIP_EINVALID, "vkclip_list_devices: infos and count expected");
    struct settings settings;
    int error = settings_read(NULL, &settings);
    if (!error)
        error = gpu_list(&settings, infos, capacity, count);
    settings_free(&settings);
    return error;
}

/* One of `names` more, which must not be among those already open. */
static int add_gpu(struct vkclip_device *device, const struct settings *settings, const char *names,
                   const char *name)
{
    const size_t number = device->count;
    if (device->count == DEVICE_GPUS)
        return error_fail(VKCLIP_EINVALID, "\"%s\": expected at most %d devices", names,
                          DEVICE_GPUS);
    int error = gpu_open(settings, name, &device->gpus[number]);
    if (error)
        return error;
    device->count++;
    error = tune_open(device->gpus[number], settings, &device->tuners[number]);
    if (error)
        return error;
    const struct vkclip_device_info *info = gpu_info(device->gpus[number]);
    for (size_t i = 0; i < number; i++)
        if (gpu_info(device->gpus[i])->index == info->index)
            return error_fail(VKCLIP_EINVALID, "\"%s\": device %u, %s, is named twice", names,
                              info->index, info->name);
    return VKCLIP_OK;
}

static int add_all(struct vkclip_device *device, const struct settings *settings)
{
    struct vkclip_device_info infos[DEVICE_GPUS];
    size_t count = 0;
    int error = gpu_list(settings, infos, DEVICE_GPUS, &count);
    for (size_t i = 0; i < count && i < DEVICE_GPUS && !error; i++) {
        char number[16];
        snprintf(number, sizeof(number), "%u", infos[i].index);
        if (infos[i].usable)
            error = add_gpu(device, settings, "all", number);
    }
    return error || device->count
               ? error
               : error_fail(VKCLIP_ENODEVICE, "no usable Vulkan device among %zu found", count);
}

/* A comma may be in a device's name. */
static bool is_name(const struct settings *settings, const char *text)
{
    struct vkclip_device_info infos[DEVICE_GPUS];
    size_t count = 0;
    bool found = false;
    if (gpu_list(settings, infos, DEVICE_GPUS, &count))
        return false;
    for (size_t i = 0; i < count && i < DEVICE_GPUS; i++)
        found |= gpu_name_has(infos[i].name, text);
    return found;
}

static int add_named(struct vkclip_device *device, const struct settings *settings)
{
    const char *names = settings->device;
    char part[256];
    if (!names || !strchr(names, ',') || is_name(settings, names))
        return add_gpu(device, settings, names, names);
    int error = VKCLIP_OK;
    for (const char *at = names; at && !error; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL) {
        snprintf(part, sizeof(part), "%.*s", (int)strcspn(at, ","), at);
        error =
            *part ? add_gpu(device, settings, names, part)
                  : error_fail(VKCLIP_EINVALID, "\"%s\": expected a device between commas", names);
    }
    return error;
}

int vkclip_open_device(const struct vkclip_device_params *params, struct vkclip_device **result)
{
    if (!result)
        return error_fail(VKCLIP_EINVALID, "vkclip_open_device: device expected");
    struct vkclip_device *device = *result = calloc(1, sizeof(*device));
    if (!device)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a device");
    struct settings settings;
    int error = settings_read(params, &settings);
    bool all = settings.device && !strcmp(settings.device, "all");
    if (!error)
        error = all ? add_all(device, &settings) : add_named(device, &settings);
    settings_free(&settings);
    if (!error && device->count > 1)
        error = workers_open((unsigned)device->count - 1, &device->drivers);
    if (error)
        vkclip_close_device(result);
    return error;
}

int vkclip_get_device_info(const struct vkclip_device *device, struct vkclip_device_info *info)
{
    if (!device || !info)
        return error_fail(VKCLIP_EINVALID, "vkclip_get_device_info: device and info expected");
    *info = *gpu_info(device->gpus[0]);
    return VKCLIP_OK;
}

int vkclip_get_device_infos(const struct vkclip_device *device, struct vkclip_device_info *infos,
                            size_t capacity, size_t *count)
{
    if (!device || !count || (!infos && capacity))
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_get_device_infos: device, infos and count expected");
    *count = device->count;
    for (size_t i = 0; i < device->count && i < capacity; i++)
        infos[i] = *gpu_info(device->gpus[i]);
    return VKCLIP_OK;
}

int vkclip_list_tuning(struct vkclip_device *device, vkclip_tuning_fn *tuning, void *user)
{
    int error = VKCLIP_OK;
    if (!device || !tuning)
        return error_fail(VKCLIP_EINVALID, "vkclip_list_tuning: device and tuning expected");
    for (size_t i = 0; i < device->count && !error; i++)
        error = tune_list(device->tuners[i], tuning, user);
    return error;
}

void vkclip_close_device(struct vkclip_device **handle)
{
    struct vkclip_device *device = handle ? *handle : NULL;
    if (!device)
        return;
    workers_close(&device->drivers);
    for (size_t i = 0; i < device->count; i++) {
        tune_close(&device->tuners[i]);
        gpu_close(&device->gpus[i]);
    }
    free(device);
    *handle = NULL;
}
