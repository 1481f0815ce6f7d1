/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions for new models.
 */
#include "base/error.h"
#include "checkpoint/initial.h"
#include "model/arch.h"

const char *vkclip_arch_name(size_t index)
{
    return arch_name(index);
}

int vkclip_init_model(const char *arch, uint64_t seed, const char *path)
{
    if (!arch || !path)
        return error_fail(VKCLIP_EINVALID, "vkclip_init_model: arch and path expected");
    return initial_write(arch, seed, path);
}
