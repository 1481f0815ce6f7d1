/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of trainers.
 */
#include "api/arguments.h"
#include "api/growth.h"
#include "api/guard.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/progress.h"
#include "encode/device.h"
#include "train/step.h"
#include "train/trainer.h"

#include <stdio.h>

_Static_assert(DEVICE_GPUS <= TRAIN_DEVICES, "a run can use every device of a handle");

/* Begins a call that other calls may interrupt between its pieces of work: the thread of the call
 * drives all devices, or waits until those that do have ended. */
static int enter(struct turn *turn, const char *function, const struct guard *guard)
{
    const int error = guard_enter_long(turn, function, guard);
    if (!error)
        turn_allow_pauses(true);
    return error;
}

static int open_trainer(struct vkclip_device *device, const struct vkclip_trainer_params *params,
                        struct vkclip_trainer **trainer)
{
    struct train_device devices[DEVICE_GPUS];
    struct guard *guard = NULL;
    const size_t count = device ? device->count : 0;
    for (size_t i = 0; i < count; i++)
        devices[i] = (struct train_device){device->gpus[i], device->tuners[i]};
    int error = guard_open("the trainer", TURNS_DEVICE, device, &guard);
    if (!error)
        error = trainer_open(devices, count, params, trainer);
    if (error)
        guard_drop(guard);
    else
        trainer_set_guard(*trainer, guard);
    return error;
}

int vkclip_open_trainer(struct vkclip_device *device, const struct vkclip_trainer_params *params,
                        struct vkclip_trainer **trainer)
{
    struct vkclip_trainer_params full;
    int error = GROWTH_READ(vkclip_trainer_params, &full, params);
    if (error)
        return error;
    if (!params || !trainer || !full.output)
        return error_fail(VKCLIP_EINVALID, "vkclip_open_trainer: params with a folder expected");
    error = arguments_check_trainer(&full);
    if (error)
        return error;
    struct progress progress;
    struct turn turn;
    progress_begin(&progress, full.progress, full.user, 1);
    error = enter(&turn, __func__, device ? device->guard : NULL);
    if (!error)
        error = guard_leave(&turn, open_trainer(device, &full, trainer));
    return progress_end(&progress, error);
}

void vkclip_close_trainer(struct vkclip_trainer **trainer)
{
    struct turn turn;
    if (!trainer || !*trainer)
        return;
    struct guard *guard = trainer_guard(*trainer);
    if (!guard_begin_close(&turn, __func__, guard, trainer))
        return;
    trainer_close(trainer);
    guard_end_close(&turn, guard);
}

int vkclip_get_trainer_info(const struct vkclip_trainer *trainer, struct vkclip_trainer_info *info)
{
    if (!trainer || !info)
        return error_fail(VKCLIP_EINVALID, "vkclip_get_trainer_info: trainer and info expected");
    struct vkclip_trainer_info full;
    int error = GROWTH_CHECK(vkclip_trainer_info, info);
    if (!error)
        error = guard_check(__func__, trainer_guard(trainer));
    if (error)
        return error;
    trainer_get_info(trainer, &full);
    GROWTH_WRITE(vkclip_trainer_info, info, &full);
    return VKCLIP_OK;
}

int vkclip_measure_trainer(const struct vkclip_trainer *trainer, bool checkpoint_activations,
                           struct vkclip_trainer_memory *memory)
{
    struct vkclip_trainer_memory full = {0};
    struct turn turn;
    if (!trainer || !memory)
        return error_fail(VKCLIP_EINVALID, "vkclip_measure_trainer: trainer and memory expected");
    int error = GROWTH_CHECK(vkclip_trainer_memory, memory);
    if (!error)
        error = guard_enter(&turn, __func__, trainer_guard(trainer));
    if (error)
        return error;
    error = trainer_measure(trainer, checkpoint_activations, &full);
    GROWTH_WRITE(vkclip_trainer_memory, memory, &full);
    return guard_leave(&turn, error);
}

int vkclip_check_trainer_memory(const struct vkclip_trainer *trainer,
                                const struct vkclip_device *device)
{
    struct turn turn;
    if (!trainer || !device)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_check_trainer_memory: a trainer and a device expected");
    int error = guard_enter_both(&turn, __func__, trainer_guard(trainer), device->guard);
    if (error)
        return error;
    for (size_t i = 0; i < device->count && !error; i++)
        error = trainer_check_fit(trainer, device->gpus[i]);
    return guard_leave(&turn, error);
}

int vkclip_train_step(struct vkclip_trainer *trainer, struct vkclip_train_result *result)
{
    struct vkclip_train_result full = {0};
    if (!trainer || !result || !trainer_is_on_device(trainer))
        return error_fail(VKCLIP_EINVALID, "vkclip_train_step: a trainer on a device expected");
    int error = GROWTH_CHECK(vkclip_train_result, result);
    if (error)
        return error;
    struct progress progress;
    trainer_begin(trainer, &progress);
    struct turn turn;
    error = enter(&turn, __func__, trainer_guard(trainer));
    if (!error)
        error = guard_leave(&turn, trainer_step(trainer, &full));
    error = progress_end(&progress, error);
    GROWTH_WRITE(vkclip_train_result, result, &full);
    return error;
}

int vkclip_validate_trainer(struct vkclip_trainer *trainer, struct vkclip_validation *result)
{
    struct vkclip_validation full = {0};
    if (!trainer || !result || !trainer_is_on_device(trainer))
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_validate_trainer: a trainer on a device expected");
    int error = GROWTH_CHECK(vkclip_validation, result);
    if (error)
        return error;
    struct progress progress;
    trainer_begin(trainer, &progress);
    struct turn turn;
    error = enter(&turn, __func__, trainer_guard(trainer));
    if (!error)
        error = guard_leave(&turn, trainer_validate(trainer, &full));
    error = progress_end(&progress, error);
    GROWTH_WRITE(vkclip_validation, result, &full);
    return error;
}

int vkclip_save_trainer(struct vkclip_trainer *trainer, char *path, size_t capacity)
{
    char *written = NULL;
    if (!trainer || !trainer_is_on_device(trainer))
        return error_fail(VKCLIP_EINVALID, "vkclip_save_trainer: a trainer on a device expected");
    struct progress progress;
    trainer_begin(trainer, &progress);
    struct turn turn;
    int error = enter(&turn, __func__, trainer_guard(trainer));
    if (!error)
        error = guard_leave(&turn, trainer_save(trainer, &written));
    error = progress_end(&progress, error);
    if (!error && path)
        snprintf(path, capacity, "%s", written);
    memory_free(written);
    return error;
}

int vkclip_save_trained_model(struct vkclip_trainer *trainer)
{
    if (!trainer || !trainer_is_on_device(trainer))
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_save_trained_model: a trainer on a device expected");
    struct progress progress;
    trainer_begin(trainer, &progress);
    struct turn turn;
    int error = enter(&turn, __func__, trainer_guard(trainer));
    if (!error)
        error = guard_leave(&turn, trainer_save_model(trainer));
    return progress_end(&progress, error);
}
