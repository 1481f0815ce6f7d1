/* SPDX-License-Identifier: MIT
 *
 * Implements the public function that converts checkpoints.
 */
#include "base/error.h"
#include "checkpoint/convert.h"

int vkclip_convert_model(const char *path, const struct vkclip_model_params *model,
                         const char *output, const struct vkclip_convert_params *params,
                         struct vkclip_conversion *conversion)
{
    static const struct vkclip_convert_params defaults;
    struct vkclip_conversion unused;
    if (!path || !output || !*output)
        return error_fail(VKCLIP_EINVALID, "vkclip_convert_model: a path and an output expected");
    return convert_model(path, model, output, params ? params : &defaults,
                         conversion ? conversion : &unused);
}
