/* SPDX-License-Identifier: MIT
 *
 * Reads rows of canonical tensors, with what was appended and added to them.
 */
#include "checkpoint/weights_internal.h"
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"

#include <string.h>

/* Reads rows of the canonical [width,D], which are columns of the stored [D,width]. */
static int read_transposed(const struct tensor_view *view, uint64_t first, uint64_t rows,
                           float *values)
{
    const uint64_t stored_rows = view->shape[0], width = view->shape[1];
    float piece[256];
    for (uint64_t stored_row = 0; stored_row < stored_rows; stored_row++)
        for (uint64_t row = 0; row < rows; row += ARRAY_COUNT(piece)) {
            const uint64_t left = rows - row;
            const uint64_t taken = left < ARRAY_COUNT(piece) ? left : ARRAY_COUNT(piece);
            int error = tensor_view_read(view, stored_row * width + first + row, taken, piece);
            if (error)
                return error;
            for (uint64_t i = 0; i < taken; i++)
                values[(row + i) * stored_rows + stored_row] = piece[i];
        }
    return VKCLIP_OK;
}

/* Reads rows of a tensor whose parts are stacked along its first dimension. */
static int read_stacked(const struct weight *weight, uint64_t first, uint64_t rows, float *values)
{
    const uint64_t all_rows = weight->rank ? weight->shape[0] - weight->appended_rows : 1;
    const uint64_t part_rows = all_rows / weight->view_count;
    const uint64_t length = tensor_view_elements(weight->views[0]) / part_rows;
    while (rows) {
        const uint64_t part_first = first % part_rows, left = part_rows - part_first;
        const uint64_t taken = left < rows ? left : rows;
        const struct tensor_view *view = weight->views[first / part_rows];
        int error = VKCLIP_OK;
        if (view)
            error = tensor_view_read(view, part_first * length, taken * length, values);
        else
            memset(values, 0, taken * length * sizeof(*values));
        if (error)
            return error;
        values += taken * length;
        first += taken;
        rows -= taken;
    }
    return VKCLIP_OK;
}

/* Adds a product to rows [first, first + rows) of the tensor that it belongs to. */
static void add_product(const struct addend *addend, uint64_t first, uint64_t rows, float *values)
{
    const struct weights_product *product = &addend->product;
    const uint64_t columns = product->columns;
    for (uint64_t row = 0; row < rows; row++) {
        float *target = values + row * columns;
        if (first + row < addend->first || first + row - addend->first >= product->rows)
            continue;
        const float *left = product->left + (first + row - addend->first) * product->rank;
        for (uint64_t i = 0; i < product->rank; i++)
            for (uint64_t column = 0; column < columns; column++)
                target[column] += left[i] * product->right[i * columns + column];
    }
}

/* Copies those of the rows that no file has, and returns how many others come before them. */
static uint64_t read_appended(const struct weight *weight, uint64_t all_rows, uint64_t first,
                              uint64_t rows, float *values)
{
    const uint64_t stored = all_rows - weight->appended_rows, end = first + rows;
    if (end <= stored)
        return rows;
    const uint64_t length = tensor_view_elements(weight->views[0]) / stored;
    const uint64_t begin = first > stored ? first : stored;
    memcpy(values + (begin - first) * length, weight->appended + (begin - stored) * length,
           (end - begin) * length * sizeof(*values));
    return begin - first;
}

int weights_read(const struct weights *weights, const char *name, uint64_t first, uint64_t rows,
                 float *values)
{
    const struct weight *weight = weights_find(weights, name);
    if (!weight)
        return error_fail(VKCLIP_EABSENT, "%s: tensor %s is missing", weights_path(weights), name);
    const uint64_t all_rows = weight->rank ? weight->shape[0] : 1;
    if (first > all_rows || rows > all_rows - first)
        return error_fail(VKCLIP_EINVALID, "%s: %s: has %llu rows, asked for %llu from %llu on",
                          weights_path(weights), name, (unsigned long long)all_rows,
                          (unsigned long long)rows, (unsigned long long)first);
    if (!rows || !weight->views[0]->size)
        return VKCLIP_OK;
    const uint64_t stored = read_appended(weight, all_rows, first, rows, values);
    int error = weight->transposed ? read_transposed(weight->views[0], first, stored, values)
                                   : read_stacked(weight, first, stored, values);
    for (const struct addend *addend = weight->addends; addend && !error; addend = addend->next)
        add_product(addend, first, rows, values);
    return error;
}
