/* SPDX-License-Identifier: MIT
 *
 * Fits and applies a linear classifier of embeddings (paper, section 3.2). Knows neither models nor
 * files.
 */
#ifndef VKCLIP_ENCODE_PROBE_H
#define VKCLIP_ENCODE_PROBE_H

#include "base/workers.h"

/* The rows of features [N,D] belong to the classes 0 to K - 1. */
struct probe_data {
    const float *features;
    const uint32_t *labels;
    size_t count, dim, classes;
};

/* Minimises c * (sum of the rows' cross-entropies) + 1/2 * (sum of squares of the weights) by
 * L-BFGS in double precision. Writes weights [K,D] and biases [K]. The result does not depend on
 * the number of threads. */
int probe_fit(const struct probe_data *data, const struct vkclip_probe_params *params,
              struct workers *workers, float *weights, float *biases,
              struct vkclip_probe_result *result);

#endif
