/* SPDX-License-Identifier: MIT
 *
 * Uses the input as a PyTorch checkpoint: after a first byte 'P' as the pickle of a good archive,
 * and otherwise as the whole archive. It must be refused with a message, or every tensor must be
 * readable to its last byte.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "format/torch_pt.h"
#include "support/torch_files.h"

volatile float fuzz_sum; /* The compiler must not remove the reads that are added to it. */

static void read_tensors(const struct torch_pt *file)
{
    for (size_t i = 0; i < file->count; i++) {
        const struct tensor_view *view = &file->tensors[i];
        fuzz_check(!i || strcmp(file->tensors[i - 1].name, view->name) < 0, view->name);
        for (uint64_t j = 0; j < view->size; j++)
            fuzz_sum += ((const uint8_t *)view->data)[j];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const float values[16];
    struct torch_pt *file = NULL;
    uint8_t *archive = NULL;
    if (size && data[0] == 'P' && (size < 2 || data[1] != 'K')) {
        const struct archive_record records[] = {
            {.name = "x/data.pkl", .data = data + 1, .size = size - 1},
            {.name = "x/data/0", .data = values, .size = sizeof(values)},
            {.name = "x/data/1", .data = values, .size = 8},
        };
        data = archive = archive_build(records, 3, &size);
    }
    if (!torch_pt_parse(data, size, "fuzz", &file))
        read_tensors(file);
    else
        fuzz_check(!file && strstr(vkclip_last_error(), "fuzz: "), "no message");
    torch_pt_close(&file);
    free(archive);
    return 0;
}
