/* SPDX-License-Identifier: MIT
 *
 * New models: the configuration files of every named architecture are read back as they were
 * written, values have the scales of the paper's code, and a seed gives the same bytes everywhere.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/string.h"
#include "support/checkpoints.h"

#include <jansson.h>
#include <math.h>

#include "checkpoint/beside.h"
#include "checkpoint/initial.h"
#include "checkpoint/write_config.h"
#include "model/arch.h"

static void assert_near(double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("expected %g, found %g", expected, found);
}

static void assert_same_tower(const struct config_tower *found, const struct config_tower *expected)
{
    assert_true(found->kind);
    assert_tower(found, expected);
}

static void configurations_are_read_back(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *hf = scratch_path(folder, "config.json");
    char *openclip = scratch_path(folder, "open_clip_config.json");
    const char *name;
    for (size_t i = 0; (name = arch_name(i)); i++) {
        struct config expected, found = {0};
        assert_int_equal(arch_find(name, &expected), 0);
        const enum names_form form = write_config_form(&expected);
        struct beside beside = {.folder = string_format("%s", folder)};
        assert_int_equal(beside_write(&beside, &expected, form), 0);
        if (initial_read_config(expected.family == VKCLIP_FAMILY_HF ? hf : openclip, &found))
            fail_msg("%s: %s", name, vkclip_last_error());
        beside_close(&beside, VKCLIP_EINVALID); /* An error removes the files again. */
        assert_same_tower(&found.image, &expected.image);
        assert_same_tower(&found.text, &expected.text);
        assert_int_equal(found.family, expected.family);
        assert_memory_equal(found.stages, expected.stages, sizeof(found.stages));
        assert_memory_equal(found.stage_widths, expected.stage_widths, sizeof(found.stage_widths));
        assert_int_equal(found.image.inner, expected.image.inner);
        assert_memory_equal(found.image_std, expected.image_std, sizeof(found.image_std));
        assert_memory_equal(found.image_mean, expected.image_mean, sizeof(found.image_mean));
        assert_int_equal(found.image_size, expected.image_size);
        assert_int_equal(found.patch_size, expected.patch_size);
        assert_int_equal(found.context, expected.context);
        assert_int_equal(found.vocabulary, expected.vocabulary);
        assert_int_equal(found.image_embed_dim, expected.image_embed_dim);
        assert_int_equal(found.pad_token_id, expected.pad_token_id);
        assert_int_equal(found.rgb_first, expected.rgb_first);
    }
    free(hf);
    free(openclip);
    scratch_remove(folder);
}

/* Computes the mean and the deviation of a tensor. */
static void measure(const struct weights *weights, const char *name, double *mean, double *std)
{
    uint64_t shape[TENSOR_MAX_RANK], count = 1;
    unsigned rank;
    assert_true(weights_shape(weights, name, shape, &rank));
    for (unsigned i = 0; i < rank; i++)
        count *= shape[i];
    float *values = malloc(count * sizeof(*values));
    assert_int_equal(weights_read(weights, name, 0, rank ? shape[0] : 1, values), 0);
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < count; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    free(values);
    *mean = sum / (double)count;
    *std = sqrt(squares / (double)count - *mean * *mean);
}

static uint64_t init_and_hash(const char *folder, const char *name, uint64_t seed)
{
    struct file_map map;
    char *path = scratch_path(folder, name);
    char *weights = string_format("%s/model.safetensors", path);
    assert_int_equal(vkclip_init_model("emoji-clip", seed, path, NULL, NULL), 0);
    assert_int_equal(file_map_open(weights, &map), 0);
    uint64_t hash = hash_bytes(0, map.data, map.size);
    file_map_close(&map);
    free(weights);
    free(path);
    return hash;
}

static void a_seed_gives_the_same_bytes(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = scratch_path(folder, "a");
    const uint64_t hash = init_and_hash(folder, "a", 1);
    assert_true(hash == init_and_hash(folder, "b", 1));
    assert_true(hash != init_and_hash(folder, "c", 2));
    /* These bytes must never change, because a seed must give the same training run with every
     * version. */
    assert_true(hash == 0x99e04700eab7fc09);
    assert_failed(vkclip_init_model("emoji-clip", 1, path, NULL, NULL), VKCLIP_EINVALID,
                  "new or empty folder");
    free(path);
    path = scratch_path(folder, "none/a");
    assert_failed(vkclip_init_model("emoji-clip", 1, path, NULL, NULL), VKCLIP_EIO, "none/a");
    free(path);
    scratch_remove(folder);
}

static void values_have_the_papers_scale(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        double mean, std;
    } expected[] = {
        {"token_embedding.weight", 0, 0.02},
        {"positional_embedding", 0, 0.01},
        {"transformer.resblocks.3.attn.in_proj_weight", 0, 0.0721688},  /* 192^-1/2 */
        {"transformer.resblocks.3.attn.out_proj.weight", 0, 0.0255155}, /* (192 * 2 * 4)^-1/2 */
        {"transformer.resblocks.3.mlp.c_proj.weight", 0, 0.0255155},
        {"transformer.resblocks.3.mlp.c_fc.weight", 0, 0.0510310}, /* (2 * 192)^-1/2 */
        {"visual.transformer.resblocks.5.mlp.c_proj.weight", 0, 0.0208333},
        {"visual.conv1.weight", 0, 0.0416667}, /* (3 * 3 * 8 * 8)^-1/2 */
        {"visual.proj", 0, 0.0721688},
        {"visual.ln_pre.weight", 1, 0},
        {"visual.ln_pre.bias", 0, 0},
        {"logit_scale", 2.65926, 0},
    };
    char *folder = scratch_folder();
    char *path = scratch_path(folder, "model.safetensors");
    struct weights *weights;
    struct vkclip_model *model;
    struct vkclip_model_info info = {.size = sizeof(info)};
    assert_int_equal(vkclip_init_model("emoji-clip", 1, folder, NULL, NULL), 0);
    assert_int_equal(weights_open(path, &weights), 0);
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        double mean, std;
        measure(weights, expected[i].name, &mean, &std);
        assert_near(mean, expected[i].mean, 0.02 * expected[i].std + 1e-6);
        assert_near(std, expected[i].std, 0.02 * expected[i].std + 1e-9);
    }
    weights_close(&weights);
    if (vkclip_open_model(NULL, folder, NULL, &model))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(vkclip_get_model_info(model, &info), 0);
    assert_int_equal(info.parameters, 4984705);
    vkclip_close_model(&model);
    free(path);
    scratch_remove(folder);
}

/* OpenAI's code sets only the last gain of a bottleneck to 0, which makes that block the
 * identity. A stem that began so would give 0 and pass no gradient back. */
static void only_bottlenecks_begin_as_the_identity(void **state)
{
    (void)state;
    static const char text[] =
        "{\"model_cfg\":{\"embed_dim\":16,\"vision_cfg\":{\"image_size\":32,"
        "\"layers\":[1,1,1,1],\"width\":8},\"text_cfg\":{\"context_length\":8,"
        "\"vocab_size\":64,\"width\":16,\"heads\":2,\"layers\":1}}}";
    char *folder = scratch_folder(), *config = scratch_path(folder, "open_clip_config.json");
    char *model = scratch_path(folder, "model");
    char *path = scratch_path(folder, "model/open_clip_model.safetensors");
    const struct file_part part = {text, strlen(text)};
    struct weights *weights;
    double mean, std;
    assert_int_equal(file_write(config, &part, 1), 0);
    if (vkclip_init_model(config, 1, model, NULL, NULL) || weights_open(path, &weights))
        fail_msg("%s", vkclip_last_error());
    measure(weights, "visual.bn3.weight", &mean, &std);
    assert_near(mean, 1, 0);
    measure(weights, "visual.layer1.0.bn3.weight", &mean, &std);
    assert_near(mean, 0, 0);
    weights_close(&weights);
    free(path);
    scratch_remove(model);
    free(config);
    scratch_remove(folder);
}

/* The models of transformers whose text towers are BERT or XLM-R. */
static void descendants_are_read_back(void **state)
{
    (void)state;
    static const char sizes[] =
        "\"projection_dim\": 24, \"vision_config\": {\"image_size\": 8, \"patch_size\": 4, "
        "\"hidden_size\": 32, \"intermediate_size\": 40, \"num_hidden_layers\": 1, "
        "\"num_attention_heads\": 2}, \"text_config\": {\"hidden_size\": 32, "
        "\"intermediate_size\": 48, \"num_hidden_layers\": 2, \"num_attention_heads\": 4, "
        "\"vocab_size\": 50, \"max_position_embeddings\": 20, \"project_dim\": 28}";
    for (int alt = 0; alt < 2; alt++) {
        char *folder = scratch_folder(), *arch = scratch_path(folder, "config.json");
        char *path = scratch_path(folder, "model");
        char *text =
            string_format("{\"model_type\": \"%s\", %s}", alt ? "altclip" : "chinese_clip", sizes);
        struct config config;
        struct weights *weights;
        scratch_text(folder, "config.json", text);
        assert_int_equal(initial_write(arch, 1, path), 0);
        assert_int_equal(checkpoint_open(path, NULL, &config, &weights), 0);
        assert_int_equal(config.text.kind, KIND_BERT);
        assert_int_equal(config.text.counted, alt);
        assert_int_equal(config.text.positions, 20);
        assert_int_equal(config.text.token_types, alt ? 1 : 2);
        assert_int_equal(config.text.transformation, alt ? 28 : 0);
        assert_true(config.text.epsilon == (alt ? 1e-5f : 1e-12f));
        assert_true(config.text.projection && config.image.projection);
        assert_int_equal(config.context, alt ? 18 : 20);
        assert_int_equal(config.pad_token_id, alt);
        assert_int_equal(config.text_embed_dim, 24);
        weights_close(&weights);
        config_close(&config);
        free(text);
        free(path);
        free(arch);
        scratch_remove(folder);
    }
}

/* The message names training, because that fails by it before anything is written. */
static void attentional_pools_are_not_written(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *arch = scratch_path(folder, "open_clip_config.json");
    char *path = scratch_path(folder, "model");
    scratch_text(folder, "open_clip_config.json",
                 "{\"model_cfg\": {\"embed_dim\": 12, \"vision_cfg\": {\"image_size\": 32, "
                 "\"layers\": 1, \"width\": 64, \"patch_size\": 16, \"attentional_pool\": true, "
                 "\"attn_pooler_heads\": 4}, \"text_cfg\": {\"layers\": 1}}, "
                 "\"preprocess_cfg\": {}}");
    assert_int_equal(initial_write(arch, 1, path), VKCLIP_EUNSUPPORTED);
    assert_non_null(strstr(error_last(),
                           "attentional_pool (CoCa's) is only read: it can be neither "
                           "written nor trained"));
    free(path);
    free(arch);
    scratch_remove(folder);
}

/* config.json names transformers' class. */
static void classes_are_named(void **state)
{
    (void)state;
    struct config both = config_defaults, text, image;
    both.family = VKCLIP_FAMILY_HF;
    both.image = (struct config_tower){.kind = KIND_VIT, .projection = true, .width = 64};
    both.text = (struct config_tower){.kind = KIND_TEXT, .projection = true, .width = 64};
    both.image_embed_dim = both.text_embed_dim = 32;
    text = image = both;
    text.image.kind = image.text.kind = KIND_NONE;
    struct config bare = text, metaclip = text, siglip = both, chinese = both, alt = text;
    bare.text.projection = false;
    metaclip.eos_token_id = 2;
    siglip.image.kind = KIND_SIGLIP;
    siglip.text.bidirectional = siglip.text.projection_bias = true;
    siglip.text.pooling = POOL_LAST;
    chinese.text.kind = alt.text.kind = KIND_BERT;
    chinese.text.pooling = alt.text.pooling = POOL_FIRST;
    alt.text.transformation = 28;
    alt.text.counted = true;
    const struct {
        const struct config *config;
        const char *name;
    } rows[] = {{&both, "[\"CLIPModel\"]"},
                {&text, "[\"CLIPTextModelWithProjection\"]"},
                {&bare, "[\"CLIPTextModel\"]"},
                {&image, "[\"CLIPVisionModelWithProjection\"]"},
                {&metaclip, "[\"MetaClip2TextModelWithProjection\"]"},
                {&siglip, "[\"SiglipModel\"]"},
                {&chinese, "[\"ChineseCLIPModel\"]"},
                {&alt, "[\"AltCLIPTextModel\"]"}};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++) {
        char *model = NULL, *processor = NULL;
        if (write_config_hugging_face(rows[i].config, &model, &processor))
            fail_msg("%s: %s", rows[i].name, vkclip_last_error());
        json_t *root = json_loads(model, 0, NULL);
        char *found = json_dumps(json_object_get(root, "architectures"), JSON_COMPACT);
        assert_string_equal(found, rows[i].name);
        json_decref(root);
        free(found);
        free(model);
        free(processor);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(configurations_are_read_back),
        cmocka_unit_test(a_seed_gives_the_same_bytes),
        cmocka_unit_test(values_have_the_papers_scale),
        cmocka_unit_test(only_bottlenecks_begin_as_the_identity),
        cmocka_unit_test(descendants_are_read_back),
        cmocka_unit_test(classes_are_named),
        cmocka_unit_test(attentional_pools_are_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
