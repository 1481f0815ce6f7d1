/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions that condition diffusion models.
 */
#include "encode/condition.h"
#include "base/error.h"

const char *vkclip_diffusion_family(size_t index)
{
    const struct family *family = family_row(index);
    return family ? family->name : NULL;
}

static bool has_texts(const char *const *texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!texts || !texts[i])
            return false;
    return true;
}

static bool has_lists(const struct vkclip_conditioner_params *params)
{
    for (size_t i = 0; i < params->lora_count; i++)
        if (!params->loras || !params->loras[i].path)
            return false;
    return has_texts(params->vocabs, params->vocab_count) &&
           has_texts(params->embeddings, params->embedding_count);
}

int vkclip_open_conditioner(struct vkclip_device *device, const char *const *paths, size_t count,
                            const struct vkclip_conditioner_params *params,
                            struct vkclip_conditioner **conditioner)
{
    static const struct vkclip_conditioner_params defaults;
    if (!conditioner)
        return error_fail(VKCLIP_EINVALID, "vkclip_open_conditioner: conditioner expected");
    *conditioner = NULL;
    params = params ? params : &defaults;
    if (!count || !has_texts(paths, count))
        return error_fail(VKCLIP_EINVALID, "vkclip_open_conditioner: at least one path expected, "
                                           "and none that is NULL");
    if (!has_lists(params))
        return error_fail(VKCLIP_EINVALID, "vkclip_open_conditioner: a vocabulary, embedding or "
                                           "LoRA is NULL");
    return conditioner_open(device, paths, count, params, conditioner);
}

void vkclip_close_conditioner(struct vkclip_conditioner **conditioner)
{
    if (conditioner)
        conditioner_close(conditioner);
}

static struct vkclip_encoder_info describe_encoder(const struct vkclip_conditioner *conditioner,
                                                   const struct conditioner_encoder *encoder)
{
    const struct vkclip_model *model = encoder->model;
    struct vkclip_encoder_info info = {.name = encoder->row->name,
                                       .absent = !model,
                                       .model = model,
                                       .identity = encoder->identity,
                                       .embeddings = encoder->embeddings,
                                       .embedding_count = encoder->embedding_count};
    info.variable = encoder->row->sequence;
    info.width = model ? model->spec.config.text.width : conditioner->absent_width;
    info.length = encoder->row->sequence ? conditioner->length : model->spec.config.context;
    return info;
}

int vkclip_get_conditioner_info(const struct vkclip_conditioner *conditioner,
                                struct vkclip_conditioner_info *info)
{
    if (!conditioner || !info)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_get_conditioner_info: conditioner and info expected");
    *info = (struct vkclip_conditioner_info){.family = conditioner->family->name,
                                             .encoder_count = conditioner->encoder_count,
                                             .zero_negative = conditioner->zeros,
                                             .no_negative = conditioner->family->negative ==
                                                            FAMILY_NEGATIVE_NONE};
    for (size_t i = 0; i < conditioner->encoder_count; i++)
        info->encoders[i] = describe_encoder(conditioner, &conditioner->encoders[i]);
    return VKCLIP_OK;
}

int vkclip_tokenize_condition(const struct vkclip_conditioner *conditioner, size_t encoder,
                              const char *text, const struct vkclip_prompt_params *params,
                              struct vkclip_prompt *prompt)
{
    static const struct vkclip_prompt_params defaults;
    if (!conditioner || !text || !prompt)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_tokenize_condition: conditioner, text and prompt expected");
    return condition_tokenize(conditioner, encoder, text, params ? params : &defaults, prompt);
}

int vkclip_condition(struct vkclip_conditioner *conditioner,
                     const struct vkclip_condition_params *params,
                     struct vkclip_conditioning **conditioning)
{
    if (!conditioner || !params || !conditioning)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_condition: conditioner, params and conditioning expected");
    return condition_run(conditioner, params, conditioning);
}

void vkclip_free_conditioning(struct vkclip_conditioning **conditioning)
{
    if (conditioning)
        condition_free(conditioning);
}
