/* SPDX-License-Identifier: MIT
 *
 * Uses the input as a GGUF file, and then as a checkpoint and as a vocabulary in that format. It
 * must be refused, or every value and tensor must be readable to its last byte.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "checkpoint/open.h"
#include "format/gguf.h"
#include "text/vocabulary.h"

volatile double fuzz_sum; /* The compiler must not remove the reads that are added to it. */
static char *folder, *path;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    folder = fuzz_folder();
    path = fuzz_path(folder, "model.gguf");
    return 0;
}

static void read_values(const struct gguf *file)
{
    for (size_t i = 0; i < file->value_count; i++) {
        const struct gguf_value *value = &file->values[i];
        const uint8_t *cursor = value->data;
        uint64_t integer = 0;
        double number = 0;
        bool truth = false;
        size_t length;
        fuzz_check(gguf_find(file, value->key) == value, value->key);
        gguf_read_integer(value, &integer);
        gguf_read_bool(value, &truth);
        gguf_read_number(value, value->count - 1, &number);
        fuzz_sum += (double)integer + number + truth;
        for (uint64_t j = 0; value->element == GGUF_STRING && j < value->count; j++) {
            const char *text = gguf_next_text(&cursor, &length);
            fuzz_sum += length ? text[length - 1] : 0;
        }
    }
}

static void read_tensors(const struct gguf *file)
{
    for (size_t i = 0; i < file->count; i++) {
        const struct tensor_view *view = &file->tensors[i];
        fuzz_sum += tensor_view_value(view, 0);
        fuzz_sum += tensor_view_value(view, tensor_view_elements(view) - 1);
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
    fuzz_write(path, data, size);
    if (!checkpoint_open(path, NULL, &config, &weights)) {
        config_close(&config);
        weights_close(&weights);
    }
    fuzz_check(!weights, "weights that are closed, or were never opened");
    if (!vocabulary_open(path, &vocabulary))
        vocabulary_close(&vocabulary);
    return 0;
}
