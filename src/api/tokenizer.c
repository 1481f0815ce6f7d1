/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of texts.
 */
#include "api/arguments.h"
#include "api/growth.h"
#include "api/guard.h"
#include "base/error.h"
#include "base/memory.h"
#include "encode/texts.h"
#include "text/prompt.h"

#include <string.h>

int vkclip_tokenize(const struct vkclip_model *model, const char *text, size_t length,
                    unsigned flags, int32_t *ids, size_t capacity, size_t *count)
{
    if (!model || (!text && length) || (!ids && capacity) || !count)
        return error_fail(VKCLIP_EINVALID, "vkclip_tokenize: model, text, ids and count expected");
    int error = arguments_check_flags(
        "flags", flags, VKCLIP_TOKENIZE_STRICT | VKCLIP_TOKENIZE_PAD | VKCLIP_TOKENIZE_FULL);
    if (!error)
        error = guard_visit(__func__, model->guard);
    if (error)
        return error;
    error = texts_tokenize(model, text, length, flags, ids, capacity, count);
    return guard_end_visit(model->guard, error);
}

int vkclip_detokenize(const struct vkclip_model *model, const int32_t *ids, size_t count,
                      char *text, size_t capacity, size_t *length)
{
    char *whole = NULL;
    if (!model || (!ids && count) || (!text && capacity) || !length)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_detokenize: model, ids, text and length expected");
    int error = guard_visit(__func__, model->guard);
    if (error)
        return error;
    error = texts_check_tokenizer(model);
    if (!error)
        error = tokenizer_decode(model->tokenizer, ids, count, &whole);
    guard_end_visit(model->guard, error);
    if (error)
        return error;
    *length = strlen(whole);
    const size_t copied = *length < capacity ? *length : capacity - 1;
    if (capacity)
        memcpy(text, whole, copied);
    if (capacity)
        text[copied] = 0;
    memory_free(whole);
    return VKCLIP_OK;
}

int vkclip_tokenize_prompt(const struct vkclip_model *model, const char *text, size_t length,
                           const struct vkclip_prompt_params *params, struct vkclip_prompt *prompt)
{
    struct vkclip_prompt_params full;
    struct vkclip_prompt made = {0};
    if (!model || (!text && length) || !prompt)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_tokenize_prompt: model, text and prompt expected");
    int error = GROWTH_CHECK(vkclip_prompt, prompt);
    if (!error)
        error = GROWTH_READ(vkclip_prompt_params, &full, params);
    if (!error)
        error = arguments_check_prompt(&full);
    if (!error)
        error = texts_check_tokenizer(model);
    if (!error)
        error = guard_visit(__func__, model->guard);
    if (error)
        return error;
    const struct tokenizer *tokenizer = model->tokenizer;
    const uint32_t context = model->spec.config.context, common = tokenizer_context(tokenizer);
    struct prompt_form form = {.name = "text encoder",
                               .tokenizer = tokenizer,
                               .length = context ? context : common,
                               .fill = tokenizer_pad(tokenizer),
                               .sequence = !common,
                               .strict = full.strict,
                               .embeddings = full.embeddings,
                               .embedding_count = full.embedding_count};
    if (full.length)
        form.length = full.length;
    error = prompt_encode(text, length, full.syntax, &form, &made);
    GROWTH_WRITE(vkclip_prompt, prompt, &made);
    return guard_end_visit(model->guard, error);
}

void vkclip_free_prompt(struct vkclip_prompt *prompt)
{
    struct vkclip_prompt full;
    if (!prompt || !prompt->size || GROWTH_READ(vkclip_prompt, &full, prompt))
        return;
    prompt_free(&full);
    GROWTH_WRITE(vkclip_prompt, prompt, &full);
}
