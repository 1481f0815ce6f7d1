/* SPDX-License-Identifier: MIT
 *
 * Any bytes as one of a checkpoint's files, the others being good; the first byte says which. It is
 * refused, or every tensor can be read. Run it in the project's root, where tests/golden is.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/string.h"
#include "checkpoint/open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The file that the input becomes, and what lies beside it. */
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

static void clean(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        char **names = NULL;
        size_t count = 0;
        folder_list(folders[i], &names, &count);
        for (size_t j = 0; j < count; j++) {
            char *path = string_format("%s/%s", folders[i], names[j]);
            remove(path);
            free(path);
        }
        folder_free_names(&names, count);
        rmdir(folders[i]);
        free(folders[i]);
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    const char *base = getenv("TMPDIR");
    char *here = realpath("tests/golden", NULL);
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        folders[i] = string_format("%s/vkclip-fuzz-XXXXXX", base ? base : P_tmpdir);
        if (!here || !folders[i] || !mkdtemp(folders[i]))
            abort();
        for (size_t j = 1; j < 4 && kinds[i].beside[j]; j++) {
            char *from = string_format("%s/%s/%s", here, kinds[i].beside[0], kinds[i].beside[j]);
            char *to = string_format("%s/%s", folders[i], kinds[i].beside[j]);
            if (!from || !to || !file_exists(from) || symlink(from, to))
                abort();
            free(from);
            free(to);
        }
    }
    free(here);
    atexit(clean);
    return 0;
}

static void read_all(const struct weights *weights)
{
    const char *name;
    for (size_t i = 0; (name = weights_name(weights, i)); i++) {
        uint64_t shape[TENSOR_MAX_RANK], count = 1;
        unsigned rank;
        if (!weights_shape(weights, name, shape, &rank))
            abort();
        for (unsigned j = 0; j < rank; j++)
            count *= shape[j];
        if (!count)
            continue;
        float *out = malloc(count * sizeof(*out));
        if (!out || weights_read(weights, name, 0, rank ? shape[0] : 1, out))
            abort();
        free(out);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config;
    struct weights *weights;
    if (!size)
        return 0;
    size_t kind = data[0] % ARRAY_COUNT(kinds);
    char *path = string_format("%s/%s", folders[kind], kinds[kind].file);
    FILE *file = path ? fopen(path, "wb") : NULL;
    if (!file || fwrite(data + 1, 1, size - 1, file) != size - 1 || fclose(file))
        abort();
    if (!checkpoint_open(folders[kind], NULL, &config, &weights)) {
        config_close(&config);
        weights_close(&weights);
    }
    if (weights) /* closed, or never opened */
        abort();
    if (strstr(kinds[kind].file, ".safetensors") && !weights_open(path, &weights)) {
        read_all(weights);
        weights_close(&weights);
    }
    remove(path);
    free(path);
    return 0;
}
