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

static int check_named_once(const struct vkclip_device *device, const char *names)
{
    const struct vkclip_device_info *added = gpu_info(device->gpus[device->count - 1]);
    for (size_t i = 0; i + 1 < device->count; i++)
        if (gpu_info(device->gpus[i])->index == added->index)
            return error_fail(VKCLIP_EINVALID, "\"%s\": device %u, %s, is named twice", names,
                              added->index, added->name);
    return VKCLIP_OK;
}

/* Opens one more GPU, of those that settings->device names, and its tuner. */
static int add_gpu(struct vkclip_device *device, const struct settings *settings, const char *name)
{
    const size_t number = device->count;
    if (number == DEVICE_GPUS)
        return error_fail(VKCLIP_EINVALID, "\"%s\": expected at most %d devices", settings->device,
                          DEVICE_GPUS);
    int error = gpu_open(settings, name, &device->gpus[number]);
    if (error)
        return error;
    device->count++;
    error = tune_open(device->gpus[number], settings, &device->tuners[number]);
    return error ? error : check_named_once(device, settings->device);
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
            error = add_gpu(device, settings, number);
    }
    if (!error && !device->count)
        error = error_fail(VKCLIP_ENODEVICE, "no usable Vulkan device among %zu found", count);
    return error;
}

/* Whether a text with a comma is no list, because a device's name has the comma. */
static bool is_part_of_name(const struct settings *settings, const char *text)
{
    struct vkclip_device_info infos[DEVICE_GPUS];
    size_t count = 0;
    if (gpu_list(settings, infos, DEVICE_GPUS, &count))
        return false;
    for (size_t i = 0; i < count && i < DEVICE_GPUS; i++)
        if (gpu_name_has(infos[i].name, text))
            return true;
    return false;
}

static int add_listed(struct vkclip_device *device, const struct settings *settings)
{
    const char *rest = settings->device;
    int error = VKCLIP_OK;
    while (rest && !error) {
        char name[256];
        const size_t length = strcspn(rest, ",");
        if (!length)
            return error_fail(VKCLIP_EINVALID, "\"%s\": expected a device between commas",
                              settings->device);
        snprintf(name, sizeof(name), "%.*s", (int)length, rest);
        error = add_gpu(device, settings, name);
        rest = rest[length] ? rest + length + 1 : NULL;
    }
    return error;
}

static int add_wanted(struct vkclip_device *device, const struct settings *settings)
{
    const char *wanted = settings->device;
    if (!wanted)
        return add_gpu(device, settings, NULL);
    if (!strcmp(wanted, "all"))
        return add_all(device, settings);
    if (strchr(wanted, ',') && !is_part_of_name(settings, wanted))
        return add_listed(device, settings);
    return add_gpu(device, settings, wanted);
}

int vkclip_open_device(const struct vkclip_device_params *params, struct vkclip_device **result)
{
    struct settings settings;
    if (!result)
        return error_fail(VKCLIP_EINVALID, "vkclip_open_device: device expected");
    struct vkclip_device *device = *result = calloc(1, sizeof(*device));
    if (!device)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a device");
    int error = settings_read(params, &settings);
    if (!error)
        error = add_wanted(device, &settings);
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
