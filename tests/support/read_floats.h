/* SPDX-License-Identifier: MIT
 *
 * Reads a tensor of a reference file.
 */
#ifndef VKCLIP_TESTS_SUPPORT_READ_FLOATS_H
#define VKCLIP_TESTS_SUPPORT_READ_FLOATS_H

#include "support/testing.h"

#include "format/tensor_view.h"

/* Returns all values of a tensor as an array that the caller frees. */
static inline float *read_floats(const struct tensor_view *view)
{
    uint64_t count = 1;
    for (unsigned i = 0; i < view->rank; i++)
        count *= view->shape[i];
    float *values = malloc(count * sizeof(*values));
    assert_non_null(values);
    for (uint64_t i = 0; i < count; i++)
        values[i] = tensor_view_value(view, i);
    return values;
}

#endif
