/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of models.
 */
#include "api/arguments.h"
#include "api/growth.h"
#include "api/guard.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/progress.h"
#include "encode/model.h"
#include "format/hub.h"

#include <stdio.h>

static int read_params(const struct vkclip_model_params *params, struct vkclip_model_params *full)
{
    int error = GROWTH_READ(vkclip_model_params, full, params);
    return error ? error : arguments_check_model(full);
}

/* Reads files before it waits for the device, which other calls may use meanwhile. */
static int read_and_place(struct turn *turn, struct vkclip_device *device,
                          const struct file_source *source,
                          const struct vkclip_model_params *params, struct vkclip_model **model)
{
    int error = model_read(device, source, params, model);
    if (error)
        return error;
    error = guard_enter_announced(turn, device);
    if (!error)
        return guard_open_model(model, model_place(params, model));
    model_close(model);
    return error;
}

/* Opens a model for the public function of this name, or only the vocabulary where the source is
 * NULL. */
static int open_source(const char *function, struct vkclip_device *device,
                       const struct file_source *source, const struct vkclip_model_params *params,
                       struct vkclip_model **model)
{
    struct progress progress;
    struct turn turn;
    *model = NULL;
    progress_begin(&progress, params->progress, params->user, 1);
    int error = guard_begin_opening(&turn, function, device);
    if (!error)
        error = guard_leave(&turn, read_and_place(&turn, device, source, params, model));
    return progress_end(&progress, error);
}

int vkclip_open_model(struct vkclip_device *device, const char *path,
                      const struct vkclip_model_params *params, struct vkclip_model **model)
{
    struct vkclip_model_params full;
    int error = read_params(params, &full);
    if (error)
        return error;
    if (!model || (!path && !full.vocab))
        return error_fail(VKCLIP_EINVALID, "vkclip_open_model: a path or a vocabulary expected");
    const struct file_source source = file_source_path(path);
    return open_source(__func__, device, path ? &source : NULL, &full, model);
}

int vkclip_open_model_file(struct vkclip_device *device, int fd, uint64_t offset, uint64_t length,
                           const struct vkclip_model_params *params, struct vkclip_model **model)
{
    struct vkclip_model_params full;
    struct file_source source;
    char name[64]; /* unless the caller gives one */
    int error = read_params(params, &full);
    if (error)
        return error;
    if (!model)
        return error_fail(VKCLIP_EINVALID, "vkclip_open_model_file: model expected");
    snprintf(name, sizeof(name), "descriptor %d at %llu", fd, (unsigned long long)offset);
    error = file_source_descriptor(fd, offset, length, full.name ? full.name : name, &source);
    return error ? error : open_source(__func__, device, &source, &full, model);
}

int vkclip_open_model_memory(struct vkclip_device *device, const void *data, size_t size,
                             const struct vkclip_model_params *params, struct vkclip_model **model)
{
    struct vkclip_model_params full;
    char name[64]; /* unless the caller gives one */
    int error = read_params(params, &full);
    if (error)
        return error;
    if (!data || !model)
        return error_fail(VKCLIP_EINVALID, "vkclip_open_model_memory: data and model expected");
    snprintf(name, sizeof(name), "memory of %zu bytes", size);
    const struct file_source source = file_source_memory(data, size, full.name ? full.name : name);
    return open_source(__func__, device, &source, &full, model);
}

int vkclip_get_model_info(const struct vkclip_model *model, struct vkclip_model_info *info)
{
    if (!model || !info)
        return error_fail(VKCLIP_EINVALID, "vkclip_get_model_info: model and info expected");
    int error = GROWTH_CHECK(vkclip_model_info, info);
    if (!error)
        error = guard_check(__func__, model->guard);
    if (!error)
        GROWTH_WRITE(vkclip_model_info, info, &model->info);
    return error;
}

void vkclip_close_model(struct vkclip_model **model)
{
    struct turn turn;
    if (!model || !*model)
        return;
    struct guard *guard = (*model)->guard;
    if (!guard_begin_close(&turn, __func__, guard, model))
        return;
    model_close(model);
    guard_end_close(&turn, guard);
}

const struct vkclip_hub_model *vkclip_get_hub_model(size_t index)
{
    return hub_model(index);
}

const struct vkclip_hub_model *vkclip_find_hub_model(const char *name)
{
    return name ? hub_find_model(name, strlen(name)) : NULL;
}

bool vkclip_has_cached_model(const char *text, const char *hub_dir)
{
    struct hub_name name;
    if (!text || !hub_parse_name(text, &name))
        return false;
    name.cache = hub_dir;
    char *path = hub_find_snapshot(&name);
    const bool found = path;
    memory_free(path);
    return found;
}
