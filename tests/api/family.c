/* SPDX-License-Identifier: MIT
 *
 * Compares models of CLIP's descendants with the outputs of their reference implementations: every
 * state of the tokens that the reference data has, and the embeddings; in fp32, with weights of 8
 * bits, and in fp16 if the device supports it.
 */
#include "support/compare_towers.h"

static const char *const cases[] = {
    "clip-text-noprefix-hf",
    "clip-text-proj-hf5",
    "clip-vision-noprefix-hf",
    "longclip-hf",
    "tinyclip-hf",
    "xlmr-openclip",
    "xlmr-cls-openclip",
    "mclip",
    "altclip-hf",
    "chineseclip-hf",
    "convnext-openclip",
    "convnext-d-openclip",
};

static void check_cases(const struct vkclip_model_params *params, struct bounds bounds)
{
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *model = string_format("family/%s", cases[i]);
        char *expected = string_format("family/%s/case.safetensors", cases[i]);
        check_case(model, expected, expected, params, bounds);
        free(model);
        free(expected);
    }
}

static void fp32_matches_the_reference(void **state)
{
    (void)state;
    check_cases(&(struct vkclip_model_params){.precision = VKCLIP_PRECISION_F32}, fp32);
}

static void weights_of_8_bits_keep_directions(void **state)
{
    (void)state;
    check_cases(&(struct vkclip_model_params){.precision = VKCLIP_PRECISION_F32,
                                              .weights = VKCLIP_WEIGHTS_Q8},
                rounded);
}

static void fp16_keeps_directions(void **state)
{
    (void)state;
    if (has_f16)
        check_cases(&(struct vkclip_model_params){.precision = VKCLIP_PRECISION_F16}, rounded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fp32_matches_the_reference),
        cmocka_unit_test(weights_of_8_bits_keep_directions),
        cmocka_unit_test(fp16_keeps_directions),
    };
    return cmocka_run_group_tests(tests, open_and_describe, close_device);
}
