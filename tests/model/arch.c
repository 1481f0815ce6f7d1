/* SPDX-License-Identifier: MIT
 *
 * Every named architecture has the published number of parameters.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "support/scratch.h"

#include <math.h>

#include "model/arch.h"
#include "model/tensors.h"

static void assert_near(double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("expected %g, found %g", expected, found);
}

static uint64_t count_parameters(const struct config *config)
{
    struct model_tensor *tensors;
    size_t count;
    uint64_t parameters = 0;
    assert_int_equal(tensors_list(config, &tensors, &count), 0);
    for (size_t i = 0; i < count; i++)
        if (!(tensors[i].flags & TENSOR_STATISTIC))
            parameters += tensors_elements(&tensors[i]);
    free(tensors);
    return parameters;
}

static void sizes_are_published(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double millions; /* parameters in millions, from OpenCLIP's table of models */
    } published[] = {
        {"ViT-B-32", 151.28},
        {"ViT-B-16", 149.62},
        {"ViT-L-14", 427.62},
        {"ViT-L-14-336", 427.94},
        {"ViT-H-14", 986.11},
        {"ViT-g-14", 1366.68},
        {"ViT-bigG-14", 2539.57},
        {"ViT-B-32-256", 151.29},
        {"ViT-B-16-plus-240", 208.38},
        {"xlm-roberta-base-ViT-B-32", 366.12},
        {"ViT-H-14-quickgelu", 986.11},
        {"ViT-bigG-14-quickgelu", 2539.57},
        {"ViT-H-14-378-quickgelu", 986.71},
        {"ViT-H-14-worldwide-quickgelu", 1858.78}, /* ViT-H-14 with more tokens, as the next one */
        {"ViT-bigG-14-worldwide", 3630.41},
        {"ViT-L-14-CLIPA", 414.21},
        {"ViT-H-14-CLIPA", 968.24},
        {"ViT-bigG-14-CLIPA", 2517.22},
        {"RN50", 102.01},
        {"RN101", 119.69},
        {"RN50x4", 178.3},
        {"RN50x16", 290.98},
        {"RN50x64", 623.26},
        {"convnext_base", 151.52},
        {"convnext_base_w", 179.39},
        {"convnext_large_d", 351.77},
        {"convnext_xxlarge", 1200.58},
        {"EVA02-B-16", 149.7}, /* with the zeros that stand for a bias of the keys */
        {"PE-Core-B-16", 447.66},
        {"ViT-B-16-SigLIP", 203.16},
        {"ViT-B-16-SigLIP2", 375.19},
    };
    struct config config;
    for (size_t i = 0; i < ARRAY_COUNT(published); i++) {
        assert_string_equal(arch_name(i), published[i].name);
        assert_int_equal(arch_find(published[i].name, &config), 0);
        assert_near((double)count_parameters(&config) / 1e6, published[i].millions, 0.006);
    }
    assert_failed(arch_find("ViT-B/32", &config), VKCLIP_EINVALID, "expected one of ViT-B-32, ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_are_published),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
