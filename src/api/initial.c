/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions for new models.
 */
#include "base/error.h"
#include "base/progress.h"
#include "checkpoint/initial.h"
#include "model/arch.h"

const char *vkclip_arch_name(size_t index)
{
    return arch_name(index);
}

int vkclip_init_model(const char *arch, uint64_t seed, const char *path, vkclip_progress_fn *ask,
                      void *user)
{
    struct progress progress;
    if (!arch || !path)
        return error_fail(VKCLIP_EINVALID, "vkclip_init_model: arch and path expected");
    progress_begin(&progress, ask, user, 1);
    return progress_end(&progress, initial_write(arch, seed, path));
}
