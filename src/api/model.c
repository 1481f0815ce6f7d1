/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of models.
 */
#include "api/arguments.h"
#include "api/growth.h"
#include "base/error.h"
#include "base/progress.h"
#include "encode/model.h"

int vkclip_open_model(struct vkclip_device *device, const char *path,
                      const struct vkclip_model_params *params, struct vkclip_model **model)
{
    struct vkclip_model_params full;
    struct progress progress;
    int error = GROWTH_READ(vkclip_model_params, &full, params);
    if (!error)
        error = arguments_check_model(&full);
    if (error)
        return error;
    if (!model || (!path && !full.vocab))
        return error_fail(VKCLIP_EINVALID, "vkclip_open_model: a path or a vocabulary expected");
    *model = NULL;
    progress_begin(&progress, full.progress, full.user, 1);
    return progress_end(&progress, model_open(device, path, &full, model));
}

int vkclip_get_model_info(const struct vkclip_model *model, struct vkclip_model_info *info)
{
    if (!model || !info)
        return error_fail(VKCLIP_EINVALID, "vkclip_get_model_info: model and info expected");
    const int error = GROWTH_CHECK(vkclip_model_info, info);
    if (!error)
        GROWTH_WRITE(vkclip_model_info, info, &model->info);
    return error;
}

void vkclip_close_model(struct vkclip_model **model)
{
    if (model)
        model_close(model);
}
