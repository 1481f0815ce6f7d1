/* SPDX-License-Identifier: MIT
 *
 * Implements the public function that converts checkpoints.
 */
#include "api/arguments.h"
#include "api/growth.h"
#include "base/error.h"
#include "checkpoint/convert.h"

int vkclip_convert_model(const char *path, const struct vkclip_model_params *model,
                         const char *output, const struct vkclip_convert_params *params,
                         struct vkclip_conversion *conversion)
{
    struct vkclip_model_params model_params;
    struct vkclip_convert_params convert_params;
    struct vkclip_conversion done = {0};
    if (!path || !output || !*output)
        return error_fail(VKCLIP_EINVALID, "vkclip_convert_model: a path and an output expected");
    int error = GROWTH_READ(vkclip_model_params, &model_params, model);
    if (!error)
        error = GROWTH_READ(vkclip_convert_params, &convert_params, params);
    if (!error)
        error = GROWTH_CHECK(vkclip_conversion, conversion);
    if (!error)
        error = arguments_check_model(&model_params);
    if (!error)
        error = ARGUMENTS_CHECK_ENUM(type, convert_params.type, VKCLIP_TYPE_Q4);
    if (error)
        return error;
    error = convert_model(path, &model_params, output, &convert_params, &done);
    GROWTH_WRITE(vkclip_conversion, conversion, &done);
    return error;
}
