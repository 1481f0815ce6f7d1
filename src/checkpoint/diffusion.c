/* SPDX-License-Identifier: MIT
 *
 * Finds text encoders among the tensors of a diffusion model in one file: Stable Diffusion 1, 2, XL
 * (base and refiner) and 3, FLUX and others. The other tensors (denoiser, VAE) are left out by name
 * and never read.
 */
#include "checkpoint/diffusion.h"
#include "base/array.h"
#include "base/error.h"
#include "base/log.h"
#include "base/string.h"
#include "checkpoint/names.h"

#include <stdio.h>
#include <string.h>

/* clip_l is OpenAI's ViT-L/14; clip_h and clip_g are OpenCLIP's ViT-H/14 and ViT-bigG/14; t5xxl and
 * umt5xxl are Google's encoders. The comment at each row names the versions of Stable Diffusion, or
 * the other models, that use the prefix. */
static const struct diffusion_encoder encoders[] = {
    {"cond_stage_model.transformer.", "clip_l"},        /* 1 */
    {"cond_stage_model.model.", "clip_h"},              /* 2 */
    {"conditioner.embedders.0.transformer.", "clip_l"}, /* XL */
    {"conditioner.embedders.1.model.", "clip_g"},       /* XL */
    {"conditioner.embedders.0.model.", "clip_g"},       /* XL's refiner */
    {"text_encoders.clip_l.transformer.", "clip_l"},    /* 3, FLUX */
    {"text_encoders.clip_g.transformer.", "clip_g"},    /* 3 */
    {"text_encoders.t5xxl.transformer.", "t5xxl"},      /* 3, FLUX, Chroma */
    {"text_encoders.umt5xxl.transformer.", "umt5xxl"},  /* Wan */
};

static bool is_of_encoder(const struct diffusion_encoder *encoder, const char *name)
{
    return string_begins_with(name, encoder->prefix) &&
           names_family(name + strlen(encoder->prefix), false, NULL);
}

bool diffusion_has_prefix(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(encoders); i++)
        if (is_of_encoder(&encoders[i], name))
            return true;
    return false;
}

static bool has_encoder(const struct diffusion_encoder *encoder, const struct tensor_view *views,
                        size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_of_encoder(encoder, views[i].name))
            return true;
    return false;
}

/* Returns the encoder to be used, or NULL. Writes the names of all encoders to `found`. */
static const struct diffusion_encoder *choose_encoder(const char *wanted,
                                                      const struct tensor_view *views, size_t count,
                                                      char *found, size_t size)
{
    const struct diffusion_encoder *chosen = NULL;
    *found = 0;
    for (size_t i = 0; i < ARRAY_COUNT(encoders); i++) {
        if (!has_encoder(&encoders[i], views, count))
            continue;
        const size_t length = strlen(found);
        snprintf(found + length, size - length, "%s%s", length ? ", " : "", encoders[i].name);
        if (!chosen && (!wanted || !strcmp(wanted, encoders[i].name)))
            chosen = &encoders[i];
    }
    return chosen;
}

/* Tells whether the views are those of one text encoder, so that the caller may say which it is. */
static bool is_text_alone(const struct tensor_view *views, size_t count)
{
    static const char *const pictures[] = {"vision_model.", "visual.", "v.",
                                           "embeddings.patch_embedding."};
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        found = found || names_family(views[i].name, true, NULL);
        for (size_t j = 0; j < ARRAY_COUNT(pictures); j++)
            if (string_begins_with(views[i].name, pictures[j]))
                return false;
    }
    return found;
}

int diffusion_pick_encoder(const char *path, const char *wanted, struct tensor_view *views,
                           size_t *count, const struct diffusion_encoder **result)
{
    char found[64];
    const struct diffusion_encoder *encoder =
        choose_encoder(wanted, views, *count, found, sizeof(found));
    *result = encoder;
    if (!encoder && wanted && !*found && is_text_alone(views, *count))
        return VKCLIP_OK;
    if (!encoder && wanted)
        return error_fail(VKCLIP_EABSENT, "%s: has no text encoder called %.40s, found %s", path,
                          wanted, *found ? found : "none by name");
    if (!encoder)
        return VKCLIP_OK;
    size_t kept = 0;
    for (size_t i = 0; i < *count; i++)
        if (string_begins_with(views[i].name, encoder->prefix)) {
            views[kept] = views[i];
            views[kept].name += strlen(encoder->prefix);
            kept++;
        }
    log_message(VKCLIP_LOG_INFO,
                "%s: has the text encoders %s: %s is used, %zu other tensors are not", path, found,
                encoder->name, *count - kept);
    *count = kept;
    return VKCLIP_OK;
}
