/* SPDX-License-Identifier: MIT
 *
 * Version, error texts and the log callback of the public interface.
 */
#include "base/error.h"
#include "base/log.h"

const char *vkclip_version(void)
{
#define TEXT(x) #x
#define VERSION(a, b, c) TEXT(a) "." TEXT(b) "." TEXT(c)
    return VERSION(VKCLIP_VERSION_MAJOR, VKCLIP_VERSION_MINOR, VKCLIP_VERSION_PATCH);
}

const char *vkclip_error_text(int error)
{
    switch (error) {
#define X(name, value, text) \
    case value:              \
        return text;
        VKCLIP_ERRORS(X)
#undef X
    }
    return "unknown error";
}

const char *vkclip_last_error(void)
{
    return error_last();
}

void vkclip_set_log(vkclip_log_fn *log, void *user)
{
    log_set(log, user);
}
