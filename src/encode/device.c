/* SPDX-License-Identifier: MIT
 *
 * Opens GPUs by the names of devices. Refuses a list that names a device twice.
 */
#include "encode/device.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/settings.h"
#include "runtime/tune.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

int device_list(struct vkclip_device_info *infos, size_t capacity, size_t *count)
{
    struct settings settings;
    int error = settings_read(NULL, &settings);
    if (!error)
        error = gpu_list(&settings, infos, capacity, count);
    settings_free(&settings);
    return error;
}

int device_find_wants(const struct vkclip_vulkan_device *lent, struct vkclip_vulkan_wants *wants)
{
    struct settings settings;
    int error = settings_read(NULL, &settings);
    if (!error)
        error = gpu_find_wants(&settings, lent, wants);
    settings_free(&settings);
    return error;
}

/* Opens one of `names`, which must not be open already. */
static int open_gpu(struct vkclip_device *device, const struct settings *settings,
                    const char *names, const char *name)
{
    const size_t number = device->count;
    if (device->count == DEVICE_GPUS)
        return error_fail(VKCLIP_EINVALID, "\"%s\": expected at most %d devices", names,
                          DEVICE_GPUS);
    int error = progress_check();
    if (!error)
        error = gpu_open(settings, name, &device->gpus[number]);
    if (error)
        return error;
    device->infos[number] = gpu_info(device->gpus[number]);
    device->count++;
    error = progress_check();
    if (!error)
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

static int open_all(struct vkclip_device *device, const struct settings *settings)
{
    uint32_t numbers[DEVICE_GPUS];
    size_t count = 0;
    int error = gpu_list_all(settings, numbers, DEVICE_GPUS, &count);
    for (size_t i = 0; i < count && i < DEVICE_GPUS && !error; i++) {
        char number[16];
        snprintf(number, sizeof(number), "%u", numbers[i]);
        error = open_gpu(device, settings, "all", number);
    }
    return error;
}

static int open_named(struct vkclip_device *device, const struct settings *settings)
{
    const char *names = settings->device;
    /* A device's name may contain a comma. */
    if (!names || !strchr(names, ',') || gpu_is_name(settings, names))
        return open_gpu(device, settings, names, names);
    int error = VKCLIP_OK;
    const char *start = names;
    while (start && !error) {
        char name[256];
        const size_t length = strcspn(start, ",");
        snprintf(name, sizeof(name), "%.*s", (int)length, start);
        if (length)
            error = open_gpu(device, settings, names, name);
        else
            error = error_fail(VKCLIP_EINVALID, "\"%s\": expected a device between commas", names);
        start = start[length] ? start + length + 1 : NULL;
    }
    return error;
}

/* Says once per process that nothing but a CPU was found, which is slow. A caller who names the
 * CPU knows it. The command recognises the message by its first words (cli/log.c). */
static void warn_of_cpu(const struct vkclip_device *device, const struct settings *settings)
{
    static atomic_flag warned = ATOMIC_FLAG_INIT;
    const struct vkclip_device_info *info = gpu_info(device->gpus[0]);
    if (settings->device || info->type != VKCLIP_DEVICE_CPU || atomic_flag_test_and_set(&warned))
        return;
    log_message(VKCLIP_LOG_WARNING,
                "no GPU has a usable Vulkan driver, so %s computes on the CPU, which is slow; "
                "`device` names it without this warning",
                info->name);
}

/* Opens the GPUs that the settings name. Vulkan stays open, so that it is opened once. */
static int open_gpus(struct vkclip_device *device, const struct settings *settings)
{
    const bool all = settings->device && !strcmp(settings->device, "all");
    int error = progress_check();
    if (!error)
        error = gpu_loader_open();
    if (error)
        return error;
    error = all ? open_all(device, settings) : open_named(device, settings);
    gpu_loader_close();
    if (!error)
        warn_of_cpu(device, settings);
    return error;
}

/* ---- Opening a lost GPU again ---------------------------------------------------------------- */

/* Finds which of the handle's GPUs one is or was. */
static size_t find_number(const struct vkclip_device *device, const struct gpu *gpu)
{
    for (size_t i = 0; i < device->loss_count; i++)
        if (device->losses[i].gpu == gpu)
            return device->losses[i].number;
    size_t number = 0;
    while (device->gpus[number] != gpu)
        number++;
    return number;
}

static int replace_gpu(struct vkclip_device *device, size_t number)
{
    struct gpu *gpu = NULL;
    struct tuner *tuner = NULL;
    if (device->loss_count == DEVICE_LOSSES)
        return error_fail(VKCLIP_ELOST, "%s: lost for the %dth time, it is not opened again",
                          gpu_info(device->gpus[number])->name, DEVICE_LOSSES + 1);
    int error = gpu_open_again(&device->settings, device->gpus[number], &gpu);
    if (!error)
        error = tune_open(gpu, &device->settings, &tuner);
    if (error) {
        gpu_close(&gpu);
        return error;
    }
    device->losses[device->loss_count++] =
        (struct device_loss){device->gpus[number], device->tuners[number], number};
    device->gpus[number] = gpu;
    device->tuners[number] = tuner;
    return VKCLIP_OK;
}

int device_reopen(struct vkclip_device *device, const struct gpu *lost, struct gpu **gpu,
                  struct tuner **tuner)
{
    mutex_lock(&device->lock);
    const size_t number = find_number(device, lost);
    int error = VKCLIP_OK;
    if (device->gpus[number] == lost || gpu_is_lost(device->gpus[number]))
        error = replace_gpu(device, number);
    if (!error) {
        *gpu = device->gpus[number];
        *tuner = device->tuners[number];
    }
    mutex_unlock(&device->lock);
    return error;
}

/* ---- Open and close -------------------------------------------------------------------------- */

static int create_device(struct vkclip_device **result)
{
    struct vkclip_device *device = *result = memory_calloc(1, sizeof(*device));
    if (device)
        device->uses = memory_calloc(DEVICE_GPUS, sizeof(*device->uses));
    if (!device || !device->uses) {
        memory_free(device);
        *result = NULL;
        return error_fail(VKCLIP_EMEMORY, "out of memory for a device");
    }
    mutex_init(&device->lock);
    for (size_t i = 0; i < DEVICE_GPUS; i++)
        mutex_init(&device->uses[i].lock);
    return VKCLIP_OK;
}

int device_open(const struct vkclip_device_params *params, struct vkclip_device **result)
{
    int error = create_device(result);
    struct vkclip_device *device = *result;
    if (!error)
        error = settings_read(params, &device->settings);
    if (!error)
        error = open_gpus(device, &device->settings);
    if (!error && device->count > 1)
        error = workers_open((unsigned)device->count - 1, &device->drivers);
    if (!error && device->settings.background)
        workers_set_background(device->drivers);
    if (error)
        device_close(result);
    return error;
}

int device_open_lent(const struct vkclip_device_params *params,
                     const struct vkclip_vulkan_device *lent, struct vkclip_device **result)
{
    int error = create_device(result);
    struct vkclip_device *device = *result;
    if (!error)
        error = settings_read(params, &device->settings);
    if (!error)
        error = progress_check();
    if (!error)
        error = gpu_open_lent(&device->settings, lent, &device->gpus[0]);
    if (!error) {
        device->count = 1;
        device->infos[0] = gpu_info(device->gpus[0]);
        error = tune_open(device->gpus[0], &device->settings, &device->tuners[0]);
    }
    if (error)
        device_close(result);
    return error;
}

void device_close(struct vkclip_device **handle)
{
    struct vkclip_device *device = *handle;
    if (!device)
        return;
    workers_close(&device->drivers);
    for (size_t i = 0; i < device->count; i++) {
        tune_close(&device->tuners[i]);
        gpu_close(&device->gpus[i]);
    }
    for (size_t i = 0; i < device->loss_count; i++) {
        tune_close(&device->losses[i].tuner);
        gpu_close(&device->losses[i].gpu);
    }
    settings_free(&device->settings);
    mutex_destroy(&device->lock);
    for (size_t i = 0; i < DEVICE_GPUS; i++)
        mutex_destroy(&device->uses[i].lock);
    memory_free(device->uses);
    memory_free(device);
    *handle = NULL;
}

/* ---- Use ------------------------------------------------------------------------------------- */

void device_note_running(struct vkclip_device *device, size_t number, size_t running)
{
    struct device_use *use = &device->uses[number];
    const double now = clock_seconds();
    mutex_lock(&use->lock);
    use->busy += use->running ? now - use->since : 0;
    use->since = now;
    use->running = running;
    mutex_unlock(&use->lock);
}

double device_busy(const struct vkclip_device *device, size_t number)
{
    struct device_use *use = &device->uses[number];
    mutex_lock(&use->lock);
    const double busy = use->busy + (use->running ? clock_seconds() - use->since : 0);
    mutex_unlock(&use->lock);
    return busy;
}
