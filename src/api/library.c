/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of the library as a whole: its version, its errors, its
 * log, its memory, and the environment.
 */
#include "api/growth.h"
#include "base/environment.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/version.h"
#include "runtime/kernels.h"

const char *vkclip_version(void)
{
    return VERSION;
}

int vkclip_read_environment(void)
{
    return environment_read();
}

int vkclip_set_allocator(const struct vkclip_allocator *given)
{
    struct vkclip_allocator allocator;
    int error = GROWTH_READ(vkclip_allocator, &allocator, given);
    if (!error && given && (!allocator.allocate || !allocator.reallocate || !allocator.release))
        error = error_fail(VKCLIP_EINVALID, "vkclip_set_allocator: `allocate`, `reallocate` and "
                                            "`release` expected");
    return error ? error : memory_set_allocator(given ? &allocator : NULL);
}

const char *vkclip_get_build(void)
{
    return BUILD_WORDS; /* defined by CMakeLists.txt */
}

int vkclip_get_kernel_caps(char *caps, size_t size)
{
    if (!caps || !size)
        return error_fail(VKCLIP_EINVALID, "vkclip_get_kernel_caps: caps and size expected");
    *caps = 0;
    gpu_describe_caps(kernels_caps(), caps, size);
    return VKCLIP_OK;
}

const char *vkclip_error_text(int error)
{
    return error_text(error);
}

const char *vkclip_last_error(void)
{
    return error_last();
}

void vkclip_set_log(vkclip_log_fn *log, void *user)
{
    log_set(log, user);
}
