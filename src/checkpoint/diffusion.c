/* SPDX-License-Identifier: MIT
 *
 * Finds CLIP's text encoders among the tensors of Stable Diffusion 1, 2, XL (base and refiner) and
 * 3 in one file. The other tensors (denoiser, VAE, T5) are left out by name and never read.
 */
#include "checkpoint/diffusion.h"
#include "base/array.h"
#include "base/error.h"
#include "base/log.h"
#include "base/string.h"

#include <stdio.h>
#include <string.h>

/* CLIP-L is OpenAI's ViT-L/14; H and G are OpenCLIP's ViT-H/14 and ViT-bigG/14. */
static const struct encoder {
    const char *prefix, *name;
} encoders[] = {
    {"cond_stage_model.transformer.", "clip_l"},        /* 1 */
    {"cond_stage_model.model.", "clip_h"},              /* 2 */
    {"conditioner.embedders.0.transformer.", "clip_l"}, /* XL */
    {"conditioner.embedders.1.model.", "clip_g"},       /* XL */
    {"conditioner.embedders.0.model.", "clip_g"},       /* XL's refiner */
    {"text_encoders.clip_l.transformer.", "clip_l"},    /* 3 */
    {"text_encoders.clip_g.transformer.", "clip_g"},    /* 3 */
};

static bool has_encoder(const struct encoder *encoder, const struct tensor_view *views,
                        size_t count)
{
    size_t length = strlen(encoder->prefix);
    for (size_t i = 0; i < count; i++)
        if (string_begins_with(views[i].name, encoder->prefix) &&
            (string_begins_with(views[i].name + length, "text_model.") ||
             string_begins_with(views[i].name + length, "transformer.resblocks.")))
            return true;
    return false;
}

int weights_pick_encoder(const char *path, const char *wanted, struct tensor_view *views,
                         size_t *count, const char **name)
{
    const struct encoder *picked = NULL;
    char found[64] = "";
    size_t kept = 0;
    for (size_t i = 0; i < ARRAY_COUNT(encoders); i++) {
        if (!has_encoder(&encoders[i], views, *count))
            continue;
        size_t length = strlen(found);
        snprintf(found + length, sizeof(found) - length, "%s%s", length ? ", " : "",
                 encoders[i].name);
        if (!picked && (!wanted || !strcmp(wanted, encoders[i].name)))
            picked = &encoders[i];
    }
    *name = picked ? picked->name : NULL;
    if (!picked && wanted)
        return error_fail(VKCLIP_EABSENT, "%s: has no text encoder called %.40s, found %s", path,
                          wanted, *found ? found : "none by name");
    if (!picked)
        return VKCLIP_OK;
    if (strchr(found, ','))
        log_message(VKCLIP_LOG_INFO, "%s: has the text encoders %s: %s is used", path, found,
                    *name);
    for (size_t i = 0; i < *count; i++)
        if (string_begins_with(views[i].name, picked->prefix)) {
            views[kept] = views[i];
            views[kept++].name += strlen(picked->prefix);
        }
    *count = kept;
    return VKCLIP_OK;
}
