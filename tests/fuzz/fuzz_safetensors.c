/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a safetensors file: refused, or every tensor can be found and read to its last byte.
 * Refuses nothing itself.
 */
#include "format/safetensors.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

volatile float fuzz_sum; /* keeps the reads */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct safetensors *file;
    if (safetensors_parse(data, size, "fuzz", &file))
        return 0;
    for (size_t i = 0; i < file->count; i++) {
        const struct tensor_view *view = &file->tensors[i];
        if (safetensors_find(file, view->name) != view)
            abort();
        if (!view->size)
            continue;
        fuzz_sum +=
            ((const uint8_t *)view->data)[0] + ((const uint8_t *)view->data)[view->size - 1];
        if (dtype_is_float(view->dtype))
            fuzz_sum += tensor_view_value(view, view->size / dtype_size(view->dtype) - 1);
    }
    safetensors_close(&file);
    return 0;
}
