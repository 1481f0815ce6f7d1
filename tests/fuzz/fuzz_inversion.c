/* SPDX-License-Identifier: MIT
 *
 * Uses the input as a file of a textual inversion: an archive of PyTorch, or safetensors. It must
 * be refused, or every vector must be there to its last number.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "checkpoint/inversion.h"

volatile float fuzz_sum; /* The compiler must not remove the reads that are added to it. */
static char *folder, *path;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    folder = fuzz_folder();
    path = fuzz_path(folder, "name.pt");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct inversions found = {0};
    fuzz_write(path, data, size);
    const int error = inversions_add(&found, path);
    fuzz_check(found.count == !error, "an inversion per file that is read");
    for (size_t i = 0; i < found.count; i++)
        for (size_t v = 0; v < found.list[i].count; v++) {
            const struct inversion_vectors *vectors = &found.list[i].vectors[v];
            fuzz_sum += vectors->values[(size_t)vectors->count * vectors->width - 1];
        }
    inversions_close(&found);
    return 0;
}
