/* SPDX-License-Identifier: MIT
 *
 * Reads the input as JSON that a client of the server sends. What the limits let through must
 * neither be deeper nor take more memory than they say.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "server/strict_json.h"

static size_t allocated;

static void *allocate(size_t size)
{
    allocated += size;
    return malloc(size);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    json_set_alloc_funcs(allocate, free);
    return 0;
}

static size_t largest(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t measure_depth(const json_t *json)
{
    const char *key;
    size_t i, depth = 0;
    json_t *value;
    json_object_foreach ((json_t *)(uintptr_t)json, key, value) {
        const size_t below = measure_depth(value);
        depth = largest(depth, below);
    }
    json_array_foreach (json, i, value) {
        const size_t below = measure_depth(value);
        depth = largest(depth, below);
    }
    return depth + (json_is_object(json) || json_is_array(json));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *json = NULL;
    size_t bytes;
    if (strict_json_measure((const char *)data, size, &bytes))
        return 0;
    allocated = 0;
    if (strict_json_read((const char *)data, size, &json))
        return 0;
    fuzz_check(measure_depth(json) <= 64, "depth");
    /* Arrays and tables of keys double, and the text of a string is copied while it grows. */
    fuzz_check(allocated <= 16 * bytes + 4096, "memory");
    json_decref(json);
    return 0;
}
