/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a GGUF file: refused, or every value and tensor can be read to its last byte; then
 * as a checkpoint and as a vocabulary. Refuses nothing itself.
 */
#define _GNU_SOURCE
#include "base/string.h"
#include "checkpoint/open.h"
#include "format/gguf.h"
#include "text/vocabulary.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

volatile double fuzz_sum; /* keeps the reads */
static char *folder, *path;

static void clean(void)
{
    remove(path);
    rmdir(folder);
    free(path);
    free(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    const char *base = getenv("TMPDIR");
    folder = string_format("%s/vkclip-fuzz-XXXXXX", base ? base : P_tmpdir);
    if (!folder || !mkdtemp(folder) || !(path = string_format("%s/model.gguf", folder)))
        abort();
    atexit(clean);
    return 0;
}

static void read_values(const struct gguf *file)
{
    for (size_t i = 0; i < file->value_count; i++) {
        const struct gguf_value *value = &file->values[i];
        const uint8_t *at = value->data;
        uint64_t integer = 0;
        double number = 0;
        bool truth = false;
        size_t length;
        if (gguf_find(file, value->key) != value)
            abort();
        gguf_read_integer(value, &integer);
        gguf_read_bool(value, &truth);
        gguf_read_number(value, value->count - 1, &number);
        fuzz_sum += (double)integer + number + truth;
        for (uint64_t j = 0; value->element == GGUF_STRING && j < value->count; j++) {
            const char *text = gguf_next_text(&at, &length);
            fuzz_sum += length ? text[length - 1] : 0;
        }
    }
}

static void read_tensors(const struct gguf *file)
{
    for (size_t i = 0; i < file->count; i++) {
        const struct tensor_view *view = &file->tensors[i];
        struct dtype_block block = dtype_block(view->dtype);
        uint64_t count = view->size / block.bytes * block.elements;
        float values[3] = {0};
        tensor_view_read(view, 0, 1, values);
        tensor_view_read(view, count - 1, 1, values + 1);
        fuzz_sum += values[0] + values[1];
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf *file;
    struct config config;
    struct weights *weights;
    struct vocabulary vocabulary;
    if (gguf_parse(data, size, "fuzz", &file))
        return 0;
    read_values(file);
    read_tensors(file);
    gguf_close(&file);
    FILE *stream = fopen(path, "wb");
    if (!stream || fwrite(data, 1, size, stream) != size || fclose(stream))
        abort();
    if (!checkpoint_open(path, NULL, &config, &weights)) {
        config_close(&config);
        weights_close(&weights);
    }
    if (weights) /* closed, or never opened */
        abort();
    if (!vocabulary_open(path, &vocabulary))
        vocabulary_close(&vocabulary);
    return 0;
}
