/* SPDX-License-Identifier: MIT
 *
 * Text encoders with a LoRA merged give what the reference gives, on the device that the
 * environment names: encoders of pipelines' folders and of single files, with files of every
 * trainer.
 */
#include "base/array.h"
#include "base/string.h"
#include "support/testing.h"

#include <math.h>

#include "checkpoint/lora.h"
#include "encode/model.h"
#include "support/open_device.h"
#include "format/safetensors.h"

/* An encoder gives `width` columns of the case's prompt_embeds, beginning with column `first`:
 * those of a layer that counts from the last, which is -1. */
struct encoder {
    const char *path, *name;
    const char *ids; /* which ids of pipelines/sdxl/case.safetensors, whose tokenizers are alike */
    unsigned place;
    struct vkclip_features features;
    size_t first, width;
    bool pooled; /* Its embedding is the case's pooled_prompt_embeds. */
};

#define NORM                      \
    {                             \
        .layer = -1, .norm = true \
    }
#define RAW         \
    {               \
        .layer = -2 \
    }

#define L "input_ids"
#define G "input_ids_2"
static const struct encoder
    sd1[] = {{"pipelines/sd1/text_encoder", NULL, L, 1, NORM, 0, 64}, {0}},
    sd1_file[] = {{"pipelines/sd1/sd1.safetensors", NULL, L, 1, NORM, 0, 64}, {0}},
    sdxl[] = {{"pipelines/sdxl/text_encoder", NULL, L, 1, RAW, 0, 64},
              {"pipelines/sdxl/text_encoder_2", NULL, G, 2, RAW, 64, 128, true}},
    sdxl_file[] = {{"pipelines/sdxl/sdxl.safetensors", "clip_l", L, 1, RAW, 0, 64},
                   {"pipelines/sdxl/sdxl.safetensors", "clip_g", G, 2, RAW, 64, 128, true}},
    flux[] = {{"pipelines/flux/text_encoder", NULL, L, 1, NORM, 0, 0, true}, {0}};

static const struct {
    const char *title;
    const struct encoder *encoders;
    const char *files[2];
    float strengths[2];
} cases[] = {
    {"sd1_kohya", sd1, {"sd1_kohya"}, {0.8f}},
    {"sd1_kohya", sd1_file, {"sd1_kohya"}, {0.8f}},
    {"sd1_peft", sd1, {"sd1_peft"}, {0.8f}},
    {"sd1_diffusers_lora_linear_layer", sd1, {"sd1_diffusers_lora_linear_layer"}, {0.8f}},
    {"sd1_two", sd1, {"sd1_kohya", "sd1_peft"}, {0.8f, -0.5f}},
    {"sd1_unet_only", sd1, {"sd1_unet_only"}, {0.8f}},
    {"sdxl_kohya", sdxl, {"sdxl_kohya"}, {0.8f}},
    {"sdxl_kohya", sdxl_file, {"sdxl_kohya"}, {0.8f}},
    {"sdxl_peft", sdxl, {"sdxl_peft"}, {0.8f}},
    {"flux_kohya", flux, {"flux_kohya"}, {0.8f}},
};
enum { TEXTS = 2, TOKENS = 77 };

static char *reference(const char *name, const char *ending)
{
    char *relative = string_format("conditioning/%s%s", name, ending);
    char *path = golden_path(relative);
    if (!path) {
        print_message("skipped: reference data %s is not here\n", relative);
        free(relative);
        skip();
    }
    free(relative);
    return path;
}

static void merge_files(size_t index, unsigned place, struct vkclip_model *model)
{
    for (size_t i = 0; i < ARRAY_COUNT(cases[index].files) && cases[index].files[i]; i++) {
        char *name = string_format("lora/%s", cases[index].files[i]);
        char *path = reference(name, ".safetensors");
        struct lora *lora;
        if (lora_open(path, cases[index].strengths[i], &lora))
            fail_msg("%s", vkclip_last_error());
        if (lora_merge(lora, place, model->weights))
            fail_msg("%s", vkclip_last_error());
        lora_close(&lora);
        free(name), free(path);
    }
}

/* Compares [rows,width] with columns of the expected [rows,columns]. */
static void compare(const char *path, const struct tensor_view *expected, const float *found,
                    size_t rows, size_t first, size_t width)
{
    const uint64_t columns = expected->shape[expected->rank - 1];
    double worst = 0, largest = 0;
    assert_int_equal(tensor_view_elements(expected), rows * columns);
    for (size_t i = 0; i < rows * width; i++) {
        const double value =
            (double)tensor_view_value(expected, i / width * columns + first + i % width);
        largest = fmax(largest, fabs(value));
        worst = fmax(worst, isfinite(found[i]) ? fabs(found[i] - value) : INFINITY);
    }
    if (!(worst <= 1e-4 * largest))
        fail_msg("%s of %s: relative error %.3g", expected->name, path, worst / largest);
}

static const struct tensor_view *find_expected(const struct safetensors *file, const char *title,
                                               const char *name)
{
    char *full = string_format("%s.%s", title, name);
    const struct tensor_view *view = safetensors_find(file, full);
    assert_non_null(view);
    free(full);
    return view;
}

static void read_ids(const char *name, int32_t ids[TEXTS * TOKENS])
{
    char *path = reference("pipelines/sdxl/case", ".safetensors");
    struct safetensors *file;
    assert_int_equal(safetensors_open(path, &file), 0);
    const struct tensor_view *view = safetensors_find(file, name);
    assert_int_equal(tensor_view_copy(view, 0, TEXTS * TOKENS * sizeof(*ids), ids), 0);
    safetensors_close(&file);
    free(path);
}

static void check_encoder(const struct safetensors *file, size_t index,
                          const struct encoder *encoder)
{
    static float values[TEXTS * TOKENS * 128];
    const char *title = cases[index].title;
    const size_t count = encoder->width ? TEXTS : 1; /* FLUX has one text. */
    int32_t ids[TEXTS * TOKENS];
    char *path = reference(encoder->path, "");
    const struct vkclip_model_params params = {.text_encoder = encoder->name};
    struct vkclip_encode_params encode = {.no_normalize = true};
    struct vkclip_model *model;
    if (vkclip_open_model(device, path, &params, &model))
        fail_msg("%s", vkclip_last_error());
    read_ids(encoder->ids, ids);
    merge_files(index, encoder->place, model);
    if (encoder->pooled) {
        if (vkclip_encode_tokens(model, ids, count, TOKENS, &encode, values))
            fail_msg("%s", vkclip_last_error());
        compare(path, find_expected(file, title, "pooled_prompt_embeds"), values, count, 0,
                model->info.text_embed_dim);
    }
    if (encoder->width) {
        encode.features = &encoder->features;
        if (vkclip_encode_tokens(model, ids, count, TOKENS, &encode, values))
            fail_msg("%s", vkclip_last_error());
        compare(path, find_expected(file, title, "prompt_embeds"), values, TEXTS * TOKENS,
                encoder->first, encoder->width);
    }
    vkclip_close_model(&model);
    free(path);
}

static size_t stride = 1; /* Only every case of this number is computed. */

static void gives_the_reference(void **state)
{
    (void)state;
    char *path = reference("lora/case", ".safetensors");
    struct safetensors *file;
    assert_int_equal(safetensors_open(path, &file), 0);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i += stride)
        for (size_t e = 0; e < 2 && cases[i].encoders[e].path; e++)
            check_encoder(file, i, &cases[i].encoders[e]);
    safetensors_close(&file);
    free(path);
}

/* The file has a LoHa module, which is not merged in part. */
static void refuses_other_modules(void **state)
{
    (void)state;
    char *path = reference("lora/sd1_locon", ".safetensors");
    struct lora *lora;
    assert_int_equal(lora_open(path, 0.8f, &lora), VKCLIP_EUNSUPPORTED);
    assert_non_null(
        strstr(vkclip_last_error(), "lora_te_text_model_encoder_layers_1_mlp_fc1.hada_w1_a: LoHa"));
    free(path);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_reference),
        cmocka_unit_test(refuses_other_modules),
    };
    if (argc > 1)
        stride = strtoul(argv[1], NULL, 10);
    return cmocka_run_group_tests(tests, open_device, close_device);
}
