/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of zero-shot use.
 */
#include "encode/zero_shot.h"
#include "api/arguments.h"
#include "api/growth.h"
#include "api/guard.h"
#include "api/job.h"
#include "base/error.h"

int vkclip_similarity(const struct vkclip_model *model, const float *image_embeds, size_t n,
                      const float *text_embeds, size_t m, float *logits)
{
    if (!model || (n && m && (!image_embeds || !text_embeds || !logits)))
        return error_fail(VKCLIP_EINVALID, "vkclip_similarity: model, embeddings, logits expected");
    int error = guard_visit(__func__, model->guard);
    if (error)
        return error;
    error = zero_shot_similarity(model, image_embeds, n, text_embeds, m, logits);
    return guard_end_visit(model->guard, error);
}

int vkclip_encode_labels(struct vkclip_model *model, const char *const *labels, size_t label_count,
                         const char *const *templates, size_t template_count,
                         const struct vkclip_encode_params *params, float *embeds)
{
    struct vkclip_encode_params full;
    struct turn turn;
    int error = GROWTH_READ(vkclip_encode_params, &full, params);
    if (!error)
        error = job_refuse(__func__, &full);
    if (error)
        return error;
    if (!model || (label_count && (!labels || !embeds)) || full.item)
        return error_fail(VKCLIP_EINVALID, "vkclip_encode_labels: model, labels and embeds, and no "
                                           "item function expected");
    error = arguments_check_strings("labels", labels, NULL, label_count);
    if (!error)
        error = arguments_check_strings("templates", templates, NULL, template_count);
    if (!error)
        error = guard_enter_encoding(&turn, __func__, model, &full,
                                     label_count * (template_count ? template_count : 1));
    if (error)
        return error;
    error = zero_shot_labels(model, labels, label_count, templates, template_count, &full, embeds);
    return guard_leave(&turn, error);
}

int vkclip_classify(struct vkclip_model *model, const struct vkclip_image *images, size_t count,
                    const float *label_embeds, size_t label_count,
                    const struct vkclip_encode_params *params, float *logits, float *probs)
{
    struct vkclip_encode_params full;
    struct turn turn;
    int error = GROWTH_READ(vkclip_encode_params, &full, params);
    if (!error)
        error = job_refuse(__func__, &full);
    if (error)
        return error;
    if (!model || (count && label_count && !label_embeds) || full.no_normalize || full.item)
        return error_fail(VKCLIP_EINVALID, "vkclip_classify: model, images and normalised "
                                           "label_embeds, and no item function expected");
    error = guard_enter_encoding(&turn, __func__, model, &full, count);
    if (error)
        return error;
    error =
        zero_shot_classify(model, images, count, label_embeds, label_count, &full, logits, probs);
    return guard_leave(&turn, error);
}
