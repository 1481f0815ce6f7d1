/* SPDX-License-Identifier: MIT
 *
 * Uses the input as one file of a checkpoint whose other files are good; its first byte says which
 * file. The checkpoint must be refused, or every tensor must be readable. Run it in the project's
 * root, because it reads tests/golden.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "base/array.h"
#include "checkpoint/open.h"

#include <unistd.h>

/* Each kind has the name of the file that the input becomes, then the reference model and the names
 * of its files that lie beside it. */
static const struct {
    const char *file, *beside[4];
} kinds[] = {
    {"config.json", {"models/hf-vit-bf16", "model.safetensors", "preprocessor_config.json"}},
    {"preprocessor_config.json", {"models/hf-vit-bf16", "model.safetensors", "config.json"}},
    {"processor_config.json", {"models/hf-vit-bf16", "model.safetensors", "config.json"}},
    {"open_clip_config.json", {"models/openclip-vit", "open_clip_model.safetensors"}},
    {"config.json", {"models/sdxl-text2/text_encoder", "model.safetensors"}},
    {"model.safetensors", {"models/hf-vit-bf16", "config.json", "preprocessor_config.json"}},
    {"open_clip_model.safetensors", {"models/openclip-vit", "open_clip_config.json"}},
    {"state_dict.safetensors", {NULL}},
};
static char *folders[ARRAY_COUNT(kinds)];

/* Links a file of a reference model into a folder. */
static void link_golden(const char *golden, const char *model, const char *name, const char *folder)
{
    char *target = string_format("%s/%s/%s", golden, model, name);
    char *path = fuzz_path(folder, name);
    fuzz_check(target && file_exists(target) && !symlink(target, path), path);
    free(target);
    free(path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    char *golden = realpath("tests/golden", NULL);
    fuzz_check(golden, "tests/golden");
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        folders[i] = fuzz_folder();
        for (size_t j = 1; j < 4 && kinds[i].beside[j]; j++)
            link_golden(golden, kinds[i].beside[0], kinds[i].beside[j], folders[i]);
    }
    free(golden);
    return 0;
}

static void read_all(const struct weights *weights)
{
    const char *name;
    for (size_t i = 0; (name = weights_name(weights, i)); i++) {
        uint64_t shape[TENSOR_MAX_RANK], count = 1;
        unsigned rank;
        fuzz_check(weights_shape(weights, name, shape, &rank), name);
        for (unsigned j = 0; j < rank; j++)
            count *= shape[j];
        if (!count)
            continue;
        float *values = malloc(count * sizeof(*values));
        fuzz_check(values && !weights_read(weights, name, 0, rank ? shape[0] : 1, values), name);
        free(values);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config;
    struct weights *weights;
    if (!size)
        return 0;
    const size_t kind = data[0] % ARRAY_COUNT(kinds);
    char *path = fuzz_path(folders[kind], kinds[kind].file);
    fuzz_write(path, data + 1, size - 1);
    if (!checkpoint_open(folders[kind], NULL, &config, &weights)) {
        config_close(&config);
        weights_close(&weights);
    }
    fuzz_check(!weights, "weights that are closed, or were never opened");
    if (strstr(kinds[kind].file, ".safetensors") && !weights_open(path, &weights)) {
        read_all(weights);
        weights_close(&weights);
    }
    remove(path);
    free(path);
    return 0;
}
