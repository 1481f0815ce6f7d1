/* SPDX-License-Identifier: MIT
 *
 * Implements the public function that learns a tokenizer.
 */
#include "api/arguments.h"
#include "api/growth.h"
#include "base/error.h"
#include "base/progress.h"
#include "text/learn.h"

int vkclip_train_tokenizer(const char *const *paths, size_t count,
                           const struct vkclip_tokenizer_params *params, const char *folder,
                           struct vkclip_tokenizer_result *result)
{
    struct vkclip_tokenizer_params full;
    struct vkclip_tokenizer_result learned = {0};
    struct progress progress;
    int error = GROWTH_READ(vkclip_tokenizer_params, &full, params);
    if (!error)
        error = GROWTH_CHECK(vkclip_tokenizer_result, result);
    if (!error)
        error = arguments_check_strings("paths", paths, NULL, count);
    if (error)
        return error;
    if (!count || !folder || full.context > INT32_MAX)
        return error_fail(VKCLIP_EINVALID, "vkclip_train_tokenizer: paths and a folder expected");
    progress_begin(&progress, full.progress, full.user, 0);
    error = progress_end(&progress, learn_tokenizer(paths, count, &full, folder, &learned));
    GROWTH_WRITE(vkclip_tokenizer_result, result, &learned);
    return error;
}
