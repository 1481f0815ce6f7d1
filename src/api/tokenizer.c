/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of texts.
 */
#include "base/error.h"
#include "encode/texts.h"
#include "text/learn.h"
#include "text/prompt.h"

#include <stdlib.h>
#include <string.h>

int vkclip_tokenize(const struct vkclip_model *model, const char *text, size_t length,
                    unsigned flags, int32_t *ids, size_t capacity, size_t *count)
{
    if (!model || (!text && length) || (!ids && capacity) || !count)
        return error_fail(VKCLIP_EINVALID, "vkclip_tokenize: model, text, ids and count expected");
    return texts_tokenize(model, text, length, flags, ids, capacity, count);
}

int vkclip_detokenize(const struct vkclip_model *model, const int32_t *ids, size_t count,
                      char *text, size_t capacity, size_t *length)
{
    char *whole = NULL;
    if (!model || (!ids && count) || (!text && capacity) || !length)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_detokenize: model, ids, text and length expected");
    int error = texts_check_tokenizer(model);
    if (!error)
        error = tokenizer_decode(model->tokenizer, ids, count, &whole);
    if (error)
        return error;
    *length = strlen(whole);
    const size_t copied = *length < capacity ? *length : capacity - 1;
    if (capacity)
        memcpy(text, whole, copied);
    if (capacity)
        text[copied] = 0;
    free(whole);
    return VKCLIP_OK;
}

int vkclip_tokenize_prompt(const struct vkclip_model *model, const char *text, size_t length,
                           const struct vkclip_prompt_params *params, struct vkclip_prompt *prompt)
{
    static const struct vkclip_prompt_params defaults;
    params = params ? params : &defaults;
    if (!model || (!text && length) || !prompt)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_tokenize_prompt: model, text and prompt expected");
    int error = texts_check_tokenizer(model);
    if (error)
        return error;
    const struct tokenizer *tokenizer = model->tokenizer;
    const uint32_t context = model->spec.config.context, common = tokenizer_context(tokenizer);
    struct prompt_form form = {.name = "text encoder",
                               .tokenizer = tokenizer,
                               .length = context ? context : common,
                               .fill = tokenizer_pad(tokenizer),
                               .sequence = !common,
                               .strict = params->strict,
                               .embeddings = params->embeddings,
                               .embedding_count = params->embedding_count};
    if (params->length)
        form.length = params->length;
    return prompt_encode(text, length, params->syntax, &form, prompt);
}

void vkclip_free_prompt(struct vkclip_prompt *prompt)
{
    prompt_free(prompt);
}

int vkclip_train_tokenizer(const char *const *paths, size_t count,
                           const struct vkclip_tokenizer_params *params, const char *folder,
                           struct vkclip_tokenizer_result *result)
{
    static const struct vkclip_tokenizer_params defaults;
    params = params ? params : &defaults;
    if (!paths || !count || !folder || params->context > INT32_MAX)
        return error_fail(VKCLIP_EINVALID, "vkclip_train_tokenizer: paths and a folder expected");
    return learn_tokenizer(paths, count, params, folder, result);
}
