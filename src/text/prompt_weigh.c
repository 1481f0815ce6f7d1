/* SPDX-License-Identifier: MIT
 *
 * Weights are applied in fp32, as the webui and ComfyUI do; means are summed in double precision.
 */
#include "text/prompt.h"

#include <math.h>

static double mean_value(const float *values, size_t count)
{
    double sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (double)values[i];
    return sum / (double)count;
}

static void scale_values(float *values, size_t count, float factor)
{
    for (size_t i = 0; i < count; i++)
        values[i] *= factor;
}

static void interpolate_values(float *values, const float *empty, size_t count, float weight)
{
    for (size_t i = 0; i < count; i++)
        values[i] = (values[i] - empty[i]) * weight + empty[i];
}

void prompt_weigh(const struct vkclip_prompt *prompt, uint32_t chunk, size_t width,
                  const float *empty, float *rows)
{
    const size_t length = prompt->length;
    const struct vkclip_prompt_place *places = prompt->places + chunk * length;
    if (prompt->weighting == VKCLIP_WEIGHTING_NONE)
        return;
    const double before = mean_value(rows, length * width);
    for (size_t i = 0; i < length; i++) {
        const float weight = (float)places[i].weight;
        if (places[i].weight == 1)
            continue;
        if (prompt->weighting == VKCLIP_WEIGHTING_INTERPOLATE)
            interpolate_values(rows + i * width, empty + i * width, width, weight);
        else
            scale_values(rows + i * width, width, weight);
    }
    if (prompt->weighting != VKCLIP_WEIGHTING_RENORMALISE)
        return;
    const double ratio = before / mean_value(rows, length * width);
    if (isfinite(ratio)) /* A mean of 0 has no ratio, and the rows stay as they are. */
        scale_values(rows, length * width, (float)ratio);
}
