/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions that explain a picture's embedding.
 */
#include "encode/explain.h"
#include "api/growth.h"
#include "base/error.h"
#include "checkpoint/inputs.h"
#include "image/prepare.h"

int vkclip_get_grid(const struct vkclip_model *model, uint32_t width, uint32_t height,
                    struct vkclip_grid *grid)
{
    struct image_view view;
    if (!model || !grid)
        return error_fail(VKCLIP_EINVALID, "vkclip_get_grid: model and grid expected");
    const struct config *config = &model->spec.config;
    if (!config->image.kind)
        return error_fail(VKCLIP_EABSENT, "%s has no image tower", model_name(model));
    const struct image_transform transform = checkpoint_image_transform(config);
    int error = image_find_view(width, height, &transform, &view);
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

int vkclip_explain(struct vkclip_model *model, const struct vkclip_image *image,
                   const float *text_embeds, size_t count,
                   const struct vkclip_explain_params *params, float *relevance, float *cosines)
{
    struct vkclip_explain_params full;
    if (!model || !image || (count && (!text_embeds || !relevance)))
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_explain: model, image, text_embeds and relevance expected");
    const int error = GROWTH_READ(vkclip_explain_params, &full, params);
    return error
               ? error
               : explain_picture(model, image, text_embeds, count, full.layers, relevance, cosines);
}
