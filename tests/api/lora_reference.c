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
    const char *ids_case, *ids; /* the ids of another case of the same texts */
    size_t texts, tokens;
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

#define L "pipelines/sdxl/case", "input_ids", 2, 77 /* All CLIP vocabularies are alike. */
#define G "pipelines/sdxl/case", "input_ids_2", 2, 77
static const struct encoder
    sd1[] = {{"pipelines/sd1/text_encoder", NULL, L, 1, NORM, 0, 64}, {0}},
    sd1_file[] = {{"pipelines/sd1/sd1.safetensors", NULL, L, 1, NORM, 0, 64}, {0}},
    sdxl[] = {{"pipelines/sdxl/text_encoder", NULL, L, 1, RAW, 0, 64},
              {"pipelines/sdxl/text_encoder_2", NULL, G, 2, RAW, 64, 128, true}},
    sdxl_file[] = {{"pipelines/sdxl/sdxl.safetensors", "clip_l", L, 1, RAW, 0, 64},
                   {"pipelines/sdxl/sdxl.safetensors", "clip_g", G, 2, RAW, 64, 128, true}},
    flux[] = {{"pipelines/flux/text_encoder", NULL, "pipelines/sdxl/case", "input_ids", 1, 77, 1,
               NORM, 0, 0, true},
              {"pipelines/flux/text_encoder_2", NULL, "pipelines/flux/case", "t5_input_ids", 1, 64,
               2, NORM, 0, 48}};

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
enum { IDS_MAX = 2 * 77 };

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

/* Merges the files of a case into an encoder. */
struct merge {
    size_t index; /* of the case */
    unsigned place;
};

static int merge_files(const struct merge *merge, struct vkclip_model *model)
{
    const char *const *files = cases[merge->index].files;
    int error = VKCLIP_OK;
    for (size_t i = 0; i < 2 && files[i] && !error; i++) {
        char *name = string_format("lora/%s", files[i]), *path = reference(name, ".safetensors");
        struct lora *lora;
        error = lora_open(path, cases[merge->index].strengths[i], &lora);
        if (!error)
            error = lora_merge(lora, merge->place, model->weights);
        lora_close(&lora);
        free(name), free(path);
    }
    return error;
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

static void read_ids(const struct encoder *encoder, int32_t ids[IDS_MAX])
{
    char *path = reference(encoder->ids_case, ".safetensors");
    struct safetensors *file;
    assert_int_equal(safetensors_open(path, &file), 0);
    const struct tensor_view *view = safetensors_find(file, encoder->ids);
    const size_t size = encoder->texts * encoder->tokens * sizeof(*ids);
    assert_int_equal(tensor_view_copy(view, 0, size, ids), 0);
    safetensors_close(&file);
    free(path);
}

/* Encodes the texts and compares the results with a tensor of the case. */
static void check_result(struct vkclip_model *model, const struct encoder *encoder,
                         const struct vkclip_features *features, const struct tensor_view *expected)
{
    static float values[IDS_MAX * 128];
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .no_normalize = true, .features = features};
    const size_t rows = encoder->texts * (features ? encoder->tokens : 1);
    int32_t ids[IDS_MAX];
    read_ids(encoder, ids);
    if (vkclip_encode_tokens(model, ids, encoder->texts, encoder->tokens, &params, values))
        fail_msg("%s", vkclip_last_error());
    compare(encoder->path, expected, values, rows, features ? encoder->first : 0,
            features ? encoder->width : model->info.text_embed_dim);
}

static void check_encoder(const struct safetensors *file, size_t index,
                          const struct encoder *encoder)
{
    const char *title = cases[index].title;
    const struct vkclip_model_params params = {.size = sizeof(params),
                                               .text_encoder = encoder->name};
    char *path = reference(encoder->path, "");
    struct vkclip_model *model;
    struct merge merge = {index, encoder->place};
    const struct file_source source = file_source_path(path);
    if (model_read(device, &source, &params, &model) || merge_files(&merge, model) ||
        model_place(&params, &model))
        fail_msg("%s", vkclip_last_error());
    if (encoder->pooled)
        check_result(model, encoder, NULL, find_expected(file, title, "pooled_prompt_embeds"));
    if (encoder->width)
        check_result(model, encoder, &encoder->features,
                     find_expected(file, title, "prompt_embeds"));
    model_close(&model);
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
