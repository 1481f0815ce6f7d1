/* SPDX-License-Identifier: MIT */
#include "api/arguments.h"
#include "base/error.h"
#include "encode/replica.h"

#include <math.h>

int arguments_check_enum(const char *name, const char *type, int value, int last)
{
    if (value >= 0 && value <= last)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EINVALID, "`%s` is %d: expected a value of %s, 0 to %d", name, value,
                      type, last);
}

int arguments_check_flags(const char *name, unsigned flags, unsigned known)
{
    if (!(flags & ~known))
        return VKCLIP_OK;
    return error_fail(VKCLIP_EINVALID, "`%s` is 0x%x: expected bits of 0x%x only", name, flags,
                      known);
}

int arguments_check_strings(const char *name, const char *const *strings, const size_t *lengths,
                            size_t count)
{
    if (count && !strings)
        return error_fail(VKCLIP_EINVALID, "`%s` is NULL: expected %zu strings", name, count);
    for (size_t i = 0; i < count; i++)
        if (!strings[i] && (!lengths || lengths[i]))
            return error_fail(VKCLIP_EINVALID, "`%s` has %zu strings, of which number %zu is NULL",
                              name, count, i);
    return VKCLIP_OK;
}

/* ---- Params ---------------------------------------------------------------------------------- */

/* Checks what models and conditioners have in common. */
static int check_types(enum vkclip_precision precision, enum vkclip_weights weights,
                       enum vkclip_compute compute)
{
    int error = ARGUMENTS_CHECK_ENUM(precision, precision, VKCLIP_PRECISION_F16);
    if (!error)
        error = ARGUMENTS_CHECK_ENUM(weights, weights, VKCLIP_WEIGHTS_Q4);
    return error ? error : ARGUMENTS_CHECK_ENUM(compute, compute, VKCLIP_COMPUTE_F16);
}

int arguments_check_device(const struct vkclip_device_params *params)
{
    const int error = ARGUMENTS_CHECK_ENUM(tune, params->tune, VKCLIP_TUNE_FORCE);
    if (!error && params->threads > REPLICA_THREADS)
        return error_fail(VKCLIP_EINVALID,
                          "`threads` is %u: expected 1 to %d, or 0 for as many as the process has "
                          "processors",
                          params->threads, REPLICA_THREADS);
    if (!error && !(params->timeout >= 0 && params->timeout < INFINITY))
        return error_fail(VKCLIP_EINVALID, "`timeout` is %g: expected a number of seconds from 0",
                          params->timeout);
    return error;
}

int arguments_check_model(const struct vkclip_model_params *params)
{
    const int error = check_types(params->precision, params->weights, params->compute);
    return error ? error
                 : ARGUMENTS_CHECK_ENUM(activation, params->activation, VKCLIP_ACTIVATION_SILU);
}

int arguments_check_conditioner(const struct vkclip_conditioner_params *params)
{
    int error = check_types(params->precision, params->weights, params->compute);
    if (!error)
        error = arguments_check_strings("vocabs", params->vocabs, NULL, params->vocab_count);
    if (!error)
        error = arguments_check_strings("embeddings", params->embeddings, NULL,
                                        params->embedding_count);
    for (size_t i = 0; i < params->lora_count && !error; i++)
        if (!params->loras || !params->loras[i].path)
            error = error_fail(VKCLIP_EINVALID,
                               "`loras` has %zu entries, of which number %zu has no path",
                               params->lora_count, i);
    return error;
}

int arguments_check_condition(const struct vkclip_condition_params *params)
{
    int error = ARGUMENTS_CHECK_ENUM(syntax, params->syntax, VKCLIP_SYNTAX_COMFY);
    for (size_t i = 0; i < VKCLIP_ENCODERS && !error; i++) {
        if (params->prompts[i])
            error = arguments_check_strings("prompts", params->prompts[i], NULL, params->count);
        if (!error && params->negatives[i])
            error = arguments_check_strings("negatives", params->negatives[i], NULL,
                                            params->negative_count);
    }
    return error;
}

int arguments_check_prompt(const struct vkclip_prompt_params *params)
{
    const int error = ARGUMENTS_CHECK_ENUM(syntax, params->syntax, VKCLIP_SYNTAX_COMFY);
    if (error)
        return error;
    for (size_t i = 0; i < params->embedding_count; i++)
        if (!params->embeddings || !params->embeddings[i].name)
            return error_fail(VKCLIP_EINVALID,
                              "`embeddings` has %zu entries, of which number %zu has no name",
                              params->embedding_count, i);
    return VKCLIP_OK;
}

int arguments_check_search(const struct vkclip_search_params *params)
{
    int error = ARGUMENTS_CHECK_ENUM(sort, params->sort, VKCLIP_SORT_DATE);
    if (!error && params->part_count && !params->parts)
        error =
            error_fail(VKCLIP_EINVALID, "`parts` is NULL: expected %zu parts", params->part_count);
    for (size_t i = 0; i < params->part_count && !error; i++) {
        const struct vkclip_query_part *part = &params->parts[i];
        error = arguments_check_enum("kind", "enum vkclip_query_kind", (int)part->kind,
                                     VKCLIP_QUERY_EMBED);
        if (!error && part->kind == VKCLIP_QUERY_EMBED && !part->data)
            error = error_fail(VKCLIP_EINVALID, "part %zu of the query has no data", i);
        if (!error && part->kind < VKCLIP_QUERY_ID && !part->value)
            error = error_fail(VKCLIP_EINVALID, "part %zu of the query has no value", i);
    }
    return error;
}

int arguments_check_trainer(const struct vkclip_trainer_params *params)
{
    int error = ARGUMENTS_CHECK_ENUM(precision, params->precision, VKCLIP_PRECISION_F16);
    if (!error)
        error = ARGUMENTS_CHECK_ENUM(activation, params->activation, VKCLIP_ACTIVATION_SILU);
    if (!error)
        error = ARGUMENTS_CHECK_ENUM(loss, params->loss, VKCLIP_LOSS_SIGMOID);
    if (!error)
        error = ARGUMENTS_CHECK_ENUM(lr_scheduler, params->lr_scheduler, VKCLIP_LR_CONST_COOLDOWN);
    if (!error)
        error = arguments_check_strings("data", params->data, NULL, params->data_count);
    if (!error)
        error =
            arguments_check_strings("templates", params->templates, NULL, params->template_count);
    return error;
}
