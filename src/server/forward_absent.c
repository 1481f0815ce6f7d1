/* SPDX-License-Identifier: MIT
 *
 * Stands for forward.c in a build without libcurl.
 */
#include "base/error.h"
#include "server/forward.h"

void forward_request(struct request *request)
{
    answer_error(request, 501, "vkclip answers the task clip only, and was built without libcurl");
}

int forward_fetch(struct request *request, const char *url, const char *name, void **data,
                  size_t *size)
{
    (void)request;
    (void)url;
    (void)data;
    (void)size;
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "%s: this server cannot fetch pictures, because it was built without libcurl",
                      name);
}
