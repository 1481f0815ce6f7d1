/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a safetensors file: they are refused, or every tensor can be found and read to its
 * last byte.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "format/safetensors.h"

volatile float fuzz_sum; /* keeps the reads from being optimised away */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors *file;
    if (safetensors_parse(data, size, "fuzz", &file))
        return 0;
    for (size_t i = 0; i < file->count; i++) {
        const struct tensor_view *view = &file->tensors[i];
        const uint8_t *bytes = view->data;
        fuzz_check(safetensors_find(file, view->name) == view, view->name);
        if (!view->size)
            continue;
        fuzz_sum += bytes[0] + bytes[view->size - 1];
        if (dtype_is_readable(view->dtype))
            fuzz_sum += tensor_view_value(view, tensor_view_elements(view) - 1);
    }
    safetensors_close(&file);
    return 0;
}
