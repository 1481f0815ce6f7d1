/* SPDX-License-Identifier: MIT
 *
 * Implements the public function that explains a picture's embedding.
 */
#include "encode/explain.h"
#include "api/growth.h"
#include "api/guard.h"
#include "base/error.h"
#include "base/progress.h"

int vkclip_explain(struct vkclip_model *model, const struct vkclip_image *image,
                   const float *text_embeds, size_t count,
                   const struct vkclip_explain_params *params, float *relevance, float *cosines)
{
    struct vkclip_explain_params full;
    struct progress progress;
    struct turn turn;
    if (!model || !image || (count && (!text_embeds || !relevance)))
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_explain: model, image, text_embeds and relevance expected");
    int error = GROWTH_READ(vkclip_explain_params, &full, params);
    if (error)
        return error;
    progress_begin(&progress, full.progress, full.user, count);
    error = guard_enter_long(&turn, __func__, model->guard);
    if (!error)
        error = guard_leave(&turn, explain_picture(model, image, text_embeds, count, full.layers,
                                                   relevance, cosines));
    return progress_end(&progress, error);
}
