/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of the library as a whole: its version, its errors, its
 * log, and the environment.
 */
#include "base/environment.h"
#include "base/error.h"
#include "base/log.h"
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
