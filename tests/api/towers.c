/* SPDX-License-Identifier: MIT
 *
 * Compares whole towers with the reference data: every hidden state and the embeddings, on the
 * device that the environment names, in fp32 and, if the device supports it, in fp16.
 */
#include "support/compare_towers.h"

static const struct {
    const char *model, *expected, *inputs;
} cases[] = {
    {"models/hf-vit", "models/openai-vit/case.safetensors", "models/openai-vit/case.safetensors"},
    {"models/hf-vit-bf16", "models/hf-vit-bf16/case.safetensors",
     "models/openai-vit/case.safetensors"},
    {"models/hf-vit-sharded", "models/hf-vit-sharded/case.safetensors",
     "models/openai-vit/case.safetensors"},
    {"models/hf-vit-gelu-f16", "models/hf-vit-gelu-f16/case.safetensors",
     "models/hf-vit-gelu-f16/case.safetensors"},
    {"models/hf-fullvocab-f16", "models/hf-fullvocab-f16/case.safetensors",
     "models/hf-fullvocab-f16/case.safetensors"},
    {"models/openai-vit/model.pt", "models/openai-vit/case.safetensors",
     "models/openai-vit/case.safetensors"},
    {"models/openai-vit/model_jit.pt", "models/openai-vit/case.safetensors",
     "models/openai-vit/case.safetensors"},
    {"models/openai-vit2-fp16/model_jit_fp16.pt", "models/openai-vit2-fp16/case.safetensors",
     "models/openai-vit2-fp16/case.safetensors"},
    {"models/openclip-vit", "models/openclip-vit/case.safetensors",
     "models/openclip-vit/case.safetensors"},
    {"models/openai-rn/model.safetensors", "models/openai-rn/case.safetensors",
     "models/openai-rn/case.safetensors"},
    {"models/openai-rn/model_fp16.pt", "models/openai-rn/case_fp16.safetensors",
     "models/openai-rn/case.safetensors"},
    {"models/openai-rn/model_jit_fp16.pt", "models/openai-rn/case_fp16.safetensors",
     "models/openai-rn/case.safetensors"},
    {"models/sd-text/text_encoder", "models/sd-text/case.safetensors",
     "models/sd-text/case.safetensors"},
    {"models/sdxl-text2/text_encoder", "models/sdxl-text2/case.safetensors",
     "models/sdxl-text2/case.safetensors"},
};

static void fp32_matches_the_reference(void **state)
{
    struct vkclip_model_params params = {.size = sizeof(params), .precision = VKCLIP_PRECISION_F32};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        for (uint32_t batch = 1; batch <= 4; batch *= 4) { /* With 4, the last batch is padded. */
            params.max_batch = batch;
            check_case(cases[i].model, cases[i].expected, cases[i].inputs, &params, fp32);
        }
}

static void fp16_matches_the_reference(void **state)
{
    const struct vkclip_model_params params = {.size = sizeof(params),
                                               .precision = VKCLIP_PRECISION_F16};
    (void)state;
    if (!has_f16) {
        struct vkclip_model *model = NULL;
        assert_int_equal(vkclip_open_model(device, "models/emoji-clip", &params, &model),
                         VKCLIP_EUNSUPPORTED);
        assert_non_null(strstr(vkclip_last_error(), "16-bit storage"));
        assert_null(model);
        return;
    }
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        check_case(cases[i].model, cases[i].expected, cases[i].inputs, &params, rounded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fp32_matches_the_reference),
        cmocka_unit_test(fp16_matches_the_reference),
    };
    return cmocka_run_group_tests(tests, open_and_describe, close_device);
}
