/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of texts.
 */
#include "base/error.h"
#include "encode/texts.h"
#include "text/learn.h"

int vkclip_tokenize(const struct vkclip_model *model, const char *text, size_t length,
                    unsigned flags, int32_t *ids, size_t capacity, size_t *count)
{
    if (!model || (!text && length) || (!ids && capacity) || !count)
        return error_fail(VKCLIP_EINVALID, "vkclip_tokenize: model, text, ids and count expected");
    return texts_tokenize(model, text, length, flags, ids, capacity, count);
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
