/* SPDX-License-Identifier: MIT
 *
 * The addon vkclip.node: exports its functions, and the version and the parts of the library. It
 * keeps nothing between environments, so that every thread of worker_threads may have its own.
 */
#include "functions.h"

static const struct function *const functions[] = {
#define X(name) &function_##name,
    FUNCTIONS(X)
#undef X
};

NAPI_MODULE_INIT()
{
    napi_set_named_property(env, exports, "version", value_text(env, vkclip_version()));
    napi_set_named_property(env, exports, "build", value_text(env, vkclip_get_build()));
    call_export(env, exports, functions, sizeof(functions) / sizeof(*functions));
    return exports;
}
