/* SPDX-License-Identifier: MIT
 *
 * Implements the public function that compares models.
 */
#include "encode/compare.h"
#include "base/error.h"

int vkclip_compare_models(struct vkclip_device *device, const char *path,
                          const struct vkclip_model_params *params, const char *other,
                          const struct vkclip_model_params *other_params,
                          struct vkclip_comparison *comparison)
{
    if (!path || !other || !comparison)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_compare_models: two paths and a result expected");
    return compare_models(device, path, params, other, other_params, comparison);
}
