/* SPDX-License-Identifier: MIT
 *
 * Implements the public function that tells where the patches of a picture are.
 */
#include "api/guard.h"
#include "base/error.h"
#include "checkpoint/inputs.h"
#include "encode/explain.h"
#include "image/prepare.h"

int vkclip_get_grid(const struct vkclip_model *model, uint32_t width, uint32_t height,
                    struct vkclip_grid *grid)
{
    struct image_view view;
    if (!model || !grid)
        return error_fail(VKCLIP_EINVALID, "vkclip_get_grid: model and grid expected");
    int error = guard_check(__func__, model->guard);
    if (error)
        return error;
    const struct config *config = &model->spec.config;
    if (!config->image.kind)
        return error_fail(VKCLIP_EABSENT, "%s has no image tower", model_name(model));
    const struct image_transform transform = checkpoint_image_transform(config);
    error = image_find_view(width, height, &transform, &view);
    if (error)
        return error;
    const uint32_t side = explain_side(config);
    /* Pixels that fill no patch are unseen. */
    const double covered = (double)side * config->patch_size / config->image_size;
    *grid = (struct vkclip_grid){.side = side,
                                 .left = view.left,
                                 .top = view.top,
                                 .width = view.width * covered,
                                 .height = view.height * covered};
    return VKCLIP_OK;
}
