/* SPDX-License-Identifier: MIT
 *
 * Every fuzz target includes this file, which declares libFuzzer's functions and makes files in
 * temporary folders.
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

/* Aborts the target if the condition does not hold, which is a bug that libFuzzer then reports. */
static inline void fuzz_check(bool condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "%s: %s\n", what, error_last());
    abort();
}

/* Returns the path of a file in a folder as a new string. */
static inline char *fuzz_path(const char *folder, const char *name)
{
    char *path = string_format("%s/%s", folder, name);
    fuzz_check(path, "path");
    return path;
}

static char *fuzz_folders[16]; /* what fuzz_folder made */
static size_t fuzz_folder_count;

static inline void fuzz_remove_folders(void)
{
    for (size_t i = 0; i < fuzz_folder_count; i++) {
        folder_remove(fuzz_folders[i]);
        free(fuzz_folders[i]);
    }
}

/* Makes a temporary folder, which is removed when the target ends. */
static inline char *fuzz_folder(void)
{
    const char *base = getenv("TMPDIR");
    char *folder = fuzz_path(base ? base : P_tmpdir, "vkclip-fuzz-XXXXXX");
    fuzz_check(mkdtemp(folder), "folder");
    if (!fuzz_folder_count)
        atexit(fuzz_remove_folders);
    fuzz_check(fuzz_folder_count < sizeof(fuzz_folders) / sizeof(*fuzz_folders), "folders");
    return fuzz_folders[fuzz_folder_count++] = folder;
}

/* Writes a file in place, which is faster than file_write, which writes another file and renames
 * it. */
static inline void fuzz_write(const char *path, const void *data, size_t size)
{
    FILE *file = fopen(path, "wb");
    fuzz_check(file && fwrite(data, 1, size, file) == size && !fclose(file), path);
}

#endif
