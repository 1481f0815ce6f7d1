/* SPDX-License-Identifier: MIT
 *
 * Reads the scales of files with the types F8: one number by which X.weight is multiplied, called
 * X.scale_weight in ComfyUI's files and X.weight_scale in its newer ones and those of others. The
 * newer ones also describe each tensor in X.comfy_quant. What scales the input, which only a
 * multiplication in 8 bits needs, is left out. Scales per block, and descriptions of other types
 * than F8, are refused.
 */
#include "checkpoint/scales.h"
#include "base/array.h"
#include "base/error.h"
#include "base/string.h"
#include "format/json.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What a tensor beside a weight says about it. */
enum role { NO_ROLE, SCALE, DESCRIPTION, INPUT_SCALE, REFUSED };

static const struct ending {
    const char *ending;
    enum role role;
} endings[] = {
    {".scale_weight", SCALE},      {".weight_scale", SCALE},      {".comfy_quant", DESCRIPTION},
    {".scale_input", INPUT_SCALE}, {".input_scale", INPUT_SCALE}, {".weight_scale_inv", REFUSED},
    {".weight_scale_2", REFUSED},  {".pre_quant_scale", REFUSED},
};
static const struct ending none = {"", NO_ROLE};

static const struct ending *find_ending(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(endings); i++)
        if (string_ends_with(name, endings[i].ending))
            return &endings[i];
    return &none;
}

/* Finds the weight beside a view. */
static struct tensor_view *find_weight(struct tensor_view *views, size_t count,
                                       const struct tensor_view *view, const struct ending *ending)
{
    char name[600];
    const size_t length = strlen(view->name) - strlen(ending->ending);
    snprintf(name, sizeof(name), "%.*s.weight", (int)length, view->name);
    return (struct tensor_view *)tensor_view_find(views, count, name);
}

static int read_scale(const char *path, const struct tensor_view *scale, struct tensor_view *scaled)
{
    if (!scaled)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: the tensor that it scales is missing", path,
                          scale->name);
    if (scaled->scaled)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: %s has another scale too", path, scale->name,
                          scaled->name);
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

/* Checks that a description, which is JSON in bytes, is that of a type F8 with one scale. */
static int check_description(const char *path, const struct tensor_view *view,
                             const struct tensor_view *weight)
{
    char text[512], format[64] = "none";
    json_t *root = NULL;
    if (view->dtype == DTYPE_U8 && view->size <= sizeof(text)) {
        int error = tensor_view_copy(view, 0, (size_t)view->size, text);
        if (error)
            return error;
        root = json_loadb(text, (size_t)view->size, 0, NULL);
    }
    const char *found = json_string_value(json_object_get(root, "format"));
    snprintf(format, sizeof(format), "%s", found ? found : "none");
    json_decref(root);
    if (strcmp(format, "float8_e4m3fn") && strcmp(format, "float8_e5m2"))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: %s: weights quantised as %s cannot be read, expected F8 types with "
                          "one scale, or F16, BF16 or F32: use such a file of the model",
                          path, view->name, format);
    if (weight && weight->scaled)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EFORMAT, "%s: %s: expected a weight and its weight_scale beside it",
                      path, view->name);
}

static int apply(const char *path, enum role role, struct tensor_view *views, size_t count)
{
    int error = VKCLIP_OK;
    for (size_t i = 0; i < count && !error; i++) {
        const struct ending *ending = find_ending(views[i].name);
        if (ending->role != role)
            continue;
        struct tensor_view *weight = find_weight(views, count, &views[i], ending);
        if (role == SCALE)
            error = read_scale(path, &views[i], weight);
        else if (role == DESCRIPTION)
            error = check_description(path, &views[i], weight);
        else
            error = error_fail(VKCLIP_EUNSUPPORTED,
                               "%s: %s: weights with such scales cannot be read, expected one "
                               "number per tensor, scale_weight or weight_scale",
                               path, views[i].name);
    }
    return error;
}

int scales_apply(const char *path, struct tensor_view *views, size_t *count)
{
    size_t kept = 0;
    int error = apply(path, REFUSED, views, *count);
    if (!error)
        error = apply(path, SCALE, views, *count);
    if (!error)
        error = apply(path, DESCRIPTION, views, *count);
    for (size_t i = 0; i < *count; i++)
        if (find_ending(views[i].name)->role == NO_ROLE)
            views[kept++] = views[i];
    *count = kept;
    return error;
}
