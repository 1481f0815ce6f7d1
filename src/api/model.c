/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of models.
 */
#include "base/error.h"
#include "encode/model.h"

int vkclip_open_model(struct vkclip_device *device, const char *path,
                      const struct vkclip_model_params *params, struct vkclip_model **model)
{
    static const struct vkclip_model_params defaults;
    params = params ? params : &defaults;
    if (!model || (!path && !params->vocab))
        return error_fail(VKCLIP_EINVALID, "vkclip_open_model: a path or a vocabulary expected");
    return model_open(device, path, params, model);
}

int vkclip_get_model_info(const struct vkclip_model *model, struct vkclip_model_info *info)
{
    if (!model || !info)
        return error_fail(VKCLIP_EINVALID, "vkclip_get_model_info: model and info expected");
    *info = model->info;
    return VKCLIP_OK;
}

void vkclip_close_model(struct vkclip_model **model)
{
    if (model)
        model_close(model);
}
