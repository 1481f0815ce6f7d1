/* SPDX-License-Identifier: MIT
 *
 * Uses the input as a LoRA file for a small text encoder. It must be refused, or every matrix must
 * be readable with what was added to it.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "base/array.h"
#include "checkpoint/lora.h"
#include "format/safetensors.h"

#define BLOCK "text_model.encoder.layers.0."
#define MATRIX(title, rows, columns)                                                           \
    {                                                                                          \
        .name = title, .dtype = DTYPE_F32, .rank = 2, .shape = {rows, columns}, .data = zeros, \
        .size = (rows) * (columns) * sizeof(float)                                             \
    }

volatile float fuzz_sum; /* The compiler must not remove the reads that are added to it. */
static char *folder, *path, *model;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    static const float zeros[32];
    static const struct tensor_view views[] = {
        MATRIX(BLOCK "self_attn.q_proj.weight", 4, 4),
        MATRIX(BLOCK "self_attn.k_proj.weight", 4, 4),
        MATRIX(BLOCK "self_attn.v_proj.weight", 4, 4),
        MATRIX(BLOCK "mlp.fc1.weight", 8, 4),
        MATRIX("text_projection.weight", 3, 4),
    };
    (void)argc;
    (void)argv;
    folder = fuzz_folder();
    path = fuzz_path(folder, "lora.pt");
    model = fuzz_path(folder, "model.safetensors");
    fuzz_check(!safetensors_write(model, views, ARRAY_COUNT(views), NULL), "model");
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct lora *lora;
    struct weights *weights;
    const char *name;
    float values[64];
    fuzz_write(path, data, size);
    if (lora_open(path, 0.5f, &lora))
        return 0;
    fuzz_check(!weights_open(model, &weights), "model");
    if (!lora_merge(lora, 1, weights))
        lora_report(lora);
    for (size_t i = 0; (name = weights_name(weights, i)); i++) {
        uint64_t shape[TENSOR_MAX_RANK];
        unsigned rank;
        fuzz_check(weights_shape(weights, name, shape, &rank), name);
        fuzz_check(!weights_read(weights, name, 1, shape[0] - 1, values), name);
        fuzz_sum += values[0];
    }
    weights_close(&weights);
    lora_close(&lora);
    return 0;
}
