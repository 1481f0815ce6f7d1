/* SPDX-License-Identifier: MIT
 *
 * What the fuzz targets share: libFuzzer's functions, and files in a folder that is removed at the
 * end.
 */
#ifndef VKCLIP_TESTS_FUZZ_FUZZ_H
#define VKCLIP_TESTS_FUZZ_FUZZ_H

#include "base/file.h"
#include "base/folder.h"
#include "base/string.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

/* Stops the target where it would be a bug that the condition does not hold. */
static inline void fuzz_check(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "%s: %s\n", what, error_last());
    abort();
}

/* The path of a file in a folder, a new string. */
static inline char *fuzz_path(const char *folder, const char *name)
{
    char *path = string_format("%s/%s", folder, name);
    fuzz_check(path, "path");
    return path;
}

/* A new folder, to be given to folder_remove. */
static inline char *fuzz_folder(void)
{
    const char *base = getenv("TMPDIR");
    char *folder = fuzz_path(base ? base : P_tmpdir, "vkclip-fuzz-XXXXXX");
    fuzz_check(mkdtemp(folder), "folder");
    return folder;
}

/* Writes a file at once, which is faster than the library's own way beside and renamed. */
static inline void fuzz_write(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    fuzz_check(file && fwrite(data, 1, size, file) == size && !fclose(file), path);
}

#endif
