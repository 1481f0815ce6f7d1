/* SPDX-License-Identifier: MIT
 *
 * Uses the input as a safetensors file. It must be refused, or every tensor must be found by its
 * name and readable to its last byte.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "checkpoint/scales.h"
#include "format/safetensors.h"

volatile float fuzz_sum; /* The compiler must not remove the reads that are added to it. */

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
    if (!scales_apply("fuzz", file->tensors, &file->count))
        for (size_t i = 0; i < file->count; i++)
            if (file->tensors[i].scaled && file->tensors[i].size)
                fuzz_sum += tensor_view_value(&file->tensors[i], 0);
    safetensors_close(&file);
    return 0;
}
