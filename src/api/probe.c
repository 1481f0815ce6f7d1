/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of the linear probe.
 */
#include "encode/probe.h"
#include "api/growth.h"

#include <math.h>

/* Refuses what would make every number of the result NaN. */
static int check_features(const struct probe_data *data)
{
    for (size_t i = 0; i < data->count * data->dim; i++)
        if (!isfinite(data->features[i]))
            return error_fail(VKCLIP_EINVALID,
                              "vkclip_fit_probe: row %zu of the features is not "
                              "finite",
                              i / data->dim);
    for (size_t i = 0; i < data->count; i++)
        if (data->labels[i] >= data->classes)
            return error_fail(VKCLIP_EINVALID,
                              "vkclip_fit_probe: label %zu: expected a number below %zu, found %u",
                              i, data->classes, data->labels[i]);
    return VKCLIP_OK;
}

int vkclip_fit_probe(const float *features, const uint32_t *labels, size_t count, size_t dim,
                     size_t classes, const struct vkclip_probe_params *params, float *weights,
                     float *biases, struct vkclip_probe_result *result)
{
    struct vkclip_probe_params full;
    struct vkclip_probe_result fitted = {0};
    const struct probe_data data = {features, labels, count, dim, classes};
    struct workers *workers = NULL;
    if (!features || !labels || !weights || !biases || !count || !dim || classes < 2)
        return error_fail(VKCLIP_EINVALID, "vkclip_fit_probe: features, labels, at least two "
                                           "classes, weights and biases expected");
    int error = GROWTH_READ(vkclip_probe_params, &full, params);
    if (!error)
        error = GROWTH_CHECK(vkclip_probe_result, result);
    if (error)
        return error;
    if (!(full.c >= 0 && full.c < INFINITY && full.tolerance >= 0 && full.tolerance < INFINITY))
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_fit_probe: `c` is %g and `tolerance` %g: expected finite numbers "
                          "from 0 up",
                          full.c, full.tolerance);
    error = check_features(&data);
    if (!error)
        error = workers_open(0, &workers);
    if (!error)
        error = probe_fit(&data, &full, workers, weights, biases, &fitted);
    workers_close(&workers);
    GROWTH_WRITE(vkclip_probe_result, result, &fitted);
    return error;
}

int vkclip_apply_probe(const float *features, size_t count, size_t dim, const float *weights,
                       const float *biases, size_t classes, float *probs)
{
    if (count && (!features || !weights || !biases || !probs || !dim || !classes))
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_apply_probe: features, weights, biases and probs expected");
    for (size_t i = 0; i < count; i++) {
        float *row = &probs[i * classes];
        double most = -INFINITY, sum = 0;
        for (size_t k = 0; k < classes; k++) {
            double logit = biases[k];
            for (size_t d = 0; d < dim; d++)
                logit += (double)features[i * dim + d] * weights[k * dim + d];
            row[k] = (float)logit;
            most = fmax(most, logit);
        }
        for (size_t k = 0; k < classes; k++)
            sum += row[k] = (float)exp((double)row[k] - most);
        for (size_t k = 0; k < classes; k++)
            row[k] = (float)(row[k] / sum);
    }
    return VKCLIP_OK;
}
