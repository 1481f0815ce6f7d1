/* SPDX-License-Identifier: MIT
 *
 * Reads the scales of ComfyUI's files with the types F8: X.scale_weight is one number by which
 * X.weight is multiplied. X.scale_input, which only a multiplication in 8 bits needs, is left to
 * names_is_buffer. ComfyUI's newer form, which describes each tensor in X.comfy_quant, is refused.
 */
#include "checkpoint/scales.h"
#include "base/error.h"
#include "base/string.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static struct tensor_view *find_scaled(struct tensor_view *views, size_t count, const char *scale)
{
    char name[600];
    const size_t length = strlen(scale) - strlen("scale_weight");
    snprintf(name, sizeof(name), "%.*sweight", (int)length, scale);
    return (struct tensor_view *)tensor_view_find(views, count, name);
}

static int read_scale(const char *path, const struct tensor_view *scale, struct tensor_view *scaled)
{
    if (!scaled)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: the tensor that it scales is missing", path,
                          scale->name);
    if (!dtype_is_float(scale->dtype) || tensor_view_elements(scale) != 1)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: expected one number, found %llu of type %s",
                          path, scale->name, (unsigned long long)tensor_view_elements(scale),
                          dtype_name(scale->dtype));
    int error = tensor_view_read(scale, 0, 1, &scaled->scale);
    scaled->scaled = true;
    if (!error && !isfinite(scaled->scale))
        error = error_fail(VKCLIP_EFORMAT, "%s: %s: expected a finite number, found %g", path,
                           scale->name, (double)scaled->scale);
    return error;
}

int scales_apply(const char *path, struct tensor_view *views, size_t *count)
{
    int error = VKCLIP_OK;
    size_t kept = 0;
    for (size_t i = 0; i < *count && !error; i++) {
        if (string_ends_with(views[i].name, ".comfy_quant"))
            error = error_fail(VKCLIP_EUNSUPPORTED,
                               "%s: %s: weights quantised in the form that comfy_quant describes "
                               "cannot be read, expected F8 types with scale_weight, or F16, BF16 "
                               "or F32: use such a file of the model",
                               path, views[i].name);
        else if (string_ends_with(views[i].name, ".scale_weight"))
            error = read_scale(path, &views[i], find_scaled(views, *count, views[i].name));
    }
    for (size_t i = 0; i < *count; i++)
        if (!string_ends_with(views[i].name, ".scale_weight"))
            views[kept++] = views[i];
    *count = kept;
    return error;
}
