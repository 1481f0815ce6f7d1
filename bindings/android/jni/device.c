/* SPDX-License-Identifier: MIT
 *
 * The natives of dev.vkclip.Device.
 */
#include "device.h"
#include "bridge.h"
#include "own_device.h"

#include <stdlib.h>

/* ---- Descriptions ---------------------------------------------------------------------------- */

/* Returns eight bytes as the number that java.util.UUID takes. */
static jlong join_bytes(const uint8_t bytes[8])
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++)
        number = number << 8 | bytes[i];
    return (jlong)number;
}

/* The order of texts and numbers is that in which dev.vkclip.DeviceInfo reads them. */
static int send_info(struct callback *callback, const struct vkclip_device_info *info)
{
    const char *const texts[] = {info->name, info->driver, info->caps, info->why};
    const jlong numbers[] = {info->index,
                             info->type,
                             info->api_version[0],
                             info->api_version[1],
                             info->api_version[2],
                             (jlong)info->memory,
                             info->usable,
                             join_bytes(info->uuid),
                             join_bytes(info->uuid + 8)};
    return callback_send(callback, &(struct record){texts, sizeof(texts) / sizeof(*texts), numbers,
                                                    sizeof(numbers) / sizeof(*numbers), NULL, 0});
}

/* Lists the devices of a handle, or of the machine if there is none. */
static int list_infos(const struct vkclip_device *device, struct vkclip_device_info *infos,
                      size_t capacity, size_t *count)
{
    return device ? vkclip_get_device_infos(device, infos, capacity, count)
                  : vkclip_list_devices(infos, capacity, count);
}

static int send_infos(const struct vkclip_device *device, struct callback *callback)
{
    struct vkclip_device_info infos[16] = {{.size = sizeof(*infos)}};
    const size_t capacity = sizeof(infos) / sizeof(*infos);
    size_t count = 0;
    const int error = list_infos(device, infos, capacity, &count);
    for (size_t i = 0; !error && i < count && i < capacity; i++)
        if (send_info(callback, &infos[i]))
            break;
    return error;
}

static void describe_devices(JNIEnv *env, jclass class, jlong handle, jobject receiver)
{
    const struct device *device = (const struct device *)(intptr_t)handle;
    struct callback callback;
    (void)class;
    if (callback_begin(env, receiver, &callback))
        callback_end(env, &callback, send_infos(device ? device->device : NULL, &callback));
}

/* ---- Opening and closing --------------------------------------------------------------------- */

/* The bits of `flags`, as dev.vkclip.Device.Options sets them. */
enum { BACKGROUND = 1, NO_CHECK = 2, NO_TUNING = 4, HARDWARE_BUFFERS = 8 };

/* Opens a Vulkan device of our own for hardware buffers, and where that is impossible, one of the
 * library's. */
static int open_device(const struct vkclip_device_params *params, jint flags, struct device *device)
{
    if (flags & HARDWARE_BUFFERS && !own_device_open(params, &device->own, &device->device))
        return VKCLIP_OK;
    return vkclip_open_device(params, &device->device);
}

static jlong open_native(JNIEnv *env, jclass class, jbyteArray name, jbyteArray cache_folder,
                         jint threads, jint flags)
{
    bool failed = false;
    (void)class;
    char *names = bridge_copy_bytes(env, name, &failed);
    char *folder = bridge_copy_bytes(env, cache_folder, &failed);
    struct device *device = calloc(1, sizeof(*device));
    const struct vkclip_device_params params = {.size = sizeof(params),
                                                .device = names,
                                                .cache_dir = folder,
                                                .threads = (uint32_t)threads,
                                                .background = flags & BACKGROUND,
                                                .skip_checks = flags & NO_CHECK,
                                                .tune = flags & NO_TUNING ? VKCLIP_TUNE_OFF
                                                                          : VKCLIP_TUNE_ON};
    if (failed || !device) {
        bridge_throw_message(env, VKCLIP_EMEMORY, "out of memory for a device");
        failed = true;
    } else {
        const int error = open_device(&params, flags, device);
        failed = error;
        if (error)
            bridge_throw(env, error);
    }
    free(names);
    free(folder);
    if (!failed)
        return (jlong)(intptr_t)device;
    free(device);
    return 0;
}

static jboolean close_native(JNIEnv *env, jclass class, jlong handle)
{
    struct device *device = bridge_pointer(env, handle, "device");
    (void)class;
    if (!device)
        return true;
    vkclip_close_device(&device->device);
    if (device->device)
        return false; /* This is within a call on the device. */
    own_device_close(&device->own);
    free(device);
    return true;
}

static jboolean imports_native(JNIEnv *env, jclass class, jlong handle)
{
    const struct device *device = bridge_pointer(env, handle, "device");
    (void)class;
    return device && device->own;
}

/* ---- Checks ---------------------------------------------------------------------------------- */

static int send_check(void *user, const struct vkclip_check *check)
{
    const char *const texts[] = {check->device,      check->op,      check->kernel,
                                 check->activations, check->weights, check->shape};
    const jlong numbers[] = {check->runs, check->built, check->stable, check->right};
    return callback_send(user,
                         &(struct record){texts, sizeof(texts) / sizeof(*texts), numbers,
                                          sizeof(numbers) / sizeof(*numbers), &check->error, 1});
}

static jint check_native(JNIEnv *env, jclass class, jlong handle, jbyteArray op, jobject receiver)
{
    const struct device *device = bridge_pointer(env, handle, "device");
    bool failed = false;
    size_t wrong = 0;
    struct callback callback;
    (void)class;
    if (!device)
        return 0;
    char *name = bridge_copy_bytes(env, op, &failed);
    if (!failed && callback_begin(env, receiver, &callback))
        callback_end(env, &callback,
                     vkclip_check_device(device->device, name, send_check, &callback, &wrong));
    free(name);
    return (jint)wrong;
}

static jbyteArray version_native(JNIEnv *env, jclass class)
{
    (void)class;
    return bridge_make_bytes(env, vkclip_version());
}

static const JNINativeMethod methods[] = {
    {"version", "()[B", (void *)version_native},
    {"describeDevices", "(JLdev/vkclip/Receiver;)V", (void *)describe_devices},
    {"openDevice", "([B[BII)J", (void *)open_native},
    {"closeDevice", "(J)Z", (void *)close_native},
    {"importsHardwareBuffers", "(J)Z", (void *)imports_native},
    {"checkDevice", "(J[BLdev/vkclip/Receiver;)I", (void *)check_native},
};
const struct natives device_natives = {methods, sizeof(methods) / sizeof(*methods)};
