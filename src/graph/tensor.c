/* SPDX-License-Identifier: MIT
 *
 * Tells the sizes of types and tensors.
 */
#include "graph/graph.h"

size_t type_size(enum type type)
{
    switch (type) {
    case TYPE_Q8:
    case TYPE_Q4:
        return 0;
    case TYPE_F16:
        return 2;
    default:
        return 4;
    }
}

const char *type_name(enum type type)
{
    static const char *const names[] = {"f32", "f16", "i32", "q8", "q4"};
    return names[type];
}

uint64_t tensor_elements(const struct tensor *tensor)
{
    uint64_t count = 1;
    for (unsigned i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    return count;
}

bool tensor_stays(const struct tensor *tensor)
{
    return tensor->role == ROLE_WEIGHT || tensor->role == ROLE_STATE;
}

bool tensor_in_rows(const struct tensor *tensor)
{
    return tensor->layout == LAYOUT_ROWS || tensor->layout == LAYOUT_TAPS;
}

uint32_t tensor_columns(const struct tensor *tensor)
{
    return tensor->rank ? tensor->shape[tensor->rank - 1] : 1;
}

uint32_t tensor_rows(const struct tensor *tensor)
{
    uint32_t rows = 1;
    for (unsigned i = 0; i + 1 < tensor->rank; i++)
        rows *= tensor->shape[i];
    return rows;
}

uint32_t tensor_n(const struct tensor *tensor)
{
    return tensor->shape[tensor->layout == LAYOUT_PANELS_KN ? 1 : 0];
}
