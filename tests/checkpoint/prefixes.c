/* SPDX-License-Identifier: MIT
 *
 * State dicts in dicts and in wrappers: whatever comes before the names of a model's tensors, in a
 * file of any format, the weights are those of the model, and a file with several sets of weights
 * is refused unless the caller names one.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/folder.h"
#include "support/checkpoints.h"
#include "support/torch_files.h"
#include "support/weights.h"
#include "checkpoint/container.h"
#include "checkpoint/prefixes.h"
#include "checkpoint/weights.h"

enum { TENSORS_MAX = 256 };

/* A reference model, and copies of its tensors' views under other names. */
struct model {
    struct weights *weights;
    struct container container;
    struct tensor_view views[TENSORS_MAX];
    char *names[TENSORS_MAX];
    size_t count;
};

/* Opens a reference model, and gives each tensor the name PREFIX HEAD WRAPPER REST, where HEAD is
 * what the model's name has before its first dot, with it, and REST is what follows. */
static void open_model(const char *golden, const char *prefix, const char *wrapper,
                       struct model *model)
{
    char *path = golden_path(golden);
    assert_non_null(path);
    assert_int_equal(weights_open(path, &model->weights), 0);
    assert_int_equal(container_open(path, &model->container), 0);
    free(path);
    model->count = model->container.count;
    assert_true(model->count < TENSORS_MAX);
    for (size_t i = 0; i < model->count; i++) {
        const char *name = model->container.views[i].name, *dot = strchr(name, '.');
        const char *rest = dot ? dot + 1 : name + strlen(name);
        model->views[i] = model->container.views[i];
        model->views[i].map = NULL;
        model->views[i].name = model->names[i] =
            string_format("%s%.*s%s%s", prefix, (int)(rest - name), name, dot ? wrapper : "", rest);
    }
}

static void close_model(struct model *model)
{
    for (size_t i = 0; i < model->count; i++)
        free(model->names[i]);
    container_close(&model->container);
    weights_close(&model->weights);
}

static void write_safetensors(const char *path, const struct model *model)
{
    assert_int_equal(safetensors_write(path, model->views, model->count, NULL), 0);
}

static void write_torch(const char *folder, const char *name, const struct archive_dict *dicts,
                        size_t count)
{
    size_t size;
    uint8_t *data = archive_save_dicts(dicts, count, &size);
    scratch_write(folder, name, data, size);
    free(data);
}

/* Checks that a file has a model's weights, when the caller names the set `state_dict`. */
static void check_file(const char *path, const char *state_dict, const struct model *model)
{
    const struct weights_selection selection = {.state_dict = state_dict};
    struct weights *found;
    if (weights_open_selection(&(struct file_source){.name = path}, &selection, &found))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(weights_family(found), weights_family(model->weights));
    assert_same_weights(found, model->weights, false);
    weights_close(&found);
}

#define EPOCH STR("\x05", "epoch") INT("\x05")
#define HF_FILE "models/hf-vit/model.safetensors"
#define OPENCLIP_FILE "models/openclip-vit/open_clip_model.safetensors"

static void removes_prefixes(void **state)
{
    (void)state;
    static const char *const models[] = {HF_FILE, OPENCLIP_FILE};
    static const struct {
        const char *prefix, *wrapper;
    } cases[] = {
        {"module.", ""},
        {"_orig_mod.", ""},
        {"model.", ""},
        {"clipmodel.", ""},
        {"module._orig_mod.", ""},
        {"state_dict.module.", ""},
        {"model_state_dict.", ""},
        {"state_dict_ema.", ""},
        {"state_dict.model.clip.", ""},
        {"_fsdp_wrapped_module.", "_fsdp_wrapped_module."},
        {"", "_orig_mod."},
        {"model.", "_checkpoint_wrapped_module.module."},
    };
    char *folder = scratch_folder(), *path = scratch_path(folder, "model.safetensors");
    char *torch = scratch_path(folder, "model.pt");
    for (size_t m = 0; m < ARRAY_COUNT(models); m++)
        for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
            struct model model;
            open_model(models[m], cases[i].prefix, cases[i].wrapper, &model);
            const struct archive_dict root = {NULL, model.views, model.count, NULL};
            write_safetensors(path, &model);
            check_file(path, NULL, &model);
            write_torch(folder, "model.pt", &root, 1);
            check_file(torch, NULL, &model);
            close_model(&model);
        }
    free(path), free(torch);
    scratch_remove(folder);
}

/* The forms of training programs: what lies beside the weights is not read. */
static void reads_training_checkpoints(void **state)
{
    (void)state;
    static const float head[8] = {1};
    static const int64_t steps = 5;
    static const struct tensor_view beside[] = {
        {.name = "head.weight", .dtype = DTYPE_F32, .rank = 1, .shape = {8}, head, 32},
        {.name = "n_averaged", .dtype = DTYPE_I64, .data = &steps, .size = 8},
    };
    struct model model, lightning;
    char *folder = scratch_folder(), *path = scratch_path(folder, "model.pt");
    open_model(OPENCLIP_FILE, "", "", &model);
    open_model(OPENCLIP_FILE, "clipmodel.", "", &lightning);
    lightning.views[lightning.count] = beside[0];
    const struct archive_dict files[][3] = {
        /* A dict of PyTorch's tutorials. The optimiser's tensors have the names of the model's. */
        {{"model_state_dict", model.views, model.count, EPOCH},
         {"optimizer_state_dict", model.views, model.count, NULL}},
        /* Lightning, with a head beside the model. */
        {{"state_dict", lightning.views, lightning.count + 1, NULL},
         {"callbacks", model.views, model.count, NULL},
         {"hyper_parameters", NULL, 0, NULL}},
        /* torch's AveragedModel counts its updates. */
        {{"module", model.views, model.count, NULL}, {NULL, &beside[1], 1, NULL}},
    };
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        write_torch(folder, "model.pt", files[i], files[i][2].key ? 3 : 2);
        check_file(path, NULL, &model);
    }
    close_model(&model), close_model(&lightning);
    free(path);
    scratch_remove(folder);
}

static void asks_which_set_is_meant(void **state)
{
    (void)state;
    struct model model, average;
    struct weights *weights;
    struct config config;
    char *folder = scratch_folder(), *path = scratch_path(folder, "model.pt");
    char *flat = scratch_path(folder, "flat.safetensors");
    open_model(HF_FILE, "", "", &model);
    open_model("models/hf-vit-bf16/model.safetensors", "", "", &average);
    const struct archive_dict dicts[] = {{"state_dict", model.views, model.count, NULL},
                                         {"state_dict_ema", average.views, average.count, NULL}};
    write_torch(folder, "model.pt", dicts, 2);
    assert_failed(weights_open(path, &weights), VKCLIP_EINVALID,
                  "model.pt: has several sets of weights, state_dict and state_dict_ema: say");
    assert_null(weights);
    check_file(path, "state_dict", &model);
    check_file(path, "state_dict_ema", &average);
    assert_failed(weights_open_selection(&(struct file_source){.name = path},
                                         &(struct weights_selection){.state_dict = "ema"},
                                         &weights),
                  VKCLIP_EABSENT, "has no weights called ema, found state_dict and state_dict_ema");
    /* The option of the library reaches the file. */
    link_golden(folder, "models/hf-vit", "config.json", NULL);
    struct vkclip_model_params params = {.size = sizeof(params), .state_dict = "state_dict_ema"};
    assert_int_equal(checkpoint_open(path, &params, &config, &weights), 0);
    config_close(&config), weights_close(&weights);
    assert_failed(open_close(path, NULL), VKCLIP_EINVALID, "several sets");

    /* One set has no prefix. */
    struct tensor_view *both = calloc(2 * TENSORS_MAX, sizeof(*both));
    char *names[TENSORS_MAX];
    memcpy(both, model.views, model.count * sizeof(*both));
    for (size_t i = 0; i < average.count; i++) {
        both[model.count + i] = average.views[i];
        both[model.count + i].name = names[i] = string_format("ema.module.%s", average.names[i]);
    }
    assert_int_equal(safetensors_write(flat, both, model.count + average.count, NULL), 0);
    assert_failed(weights_open(flat, &weights), VKCLIP_EINVALID, "of weights, ema.module and .: ");
    check_file(flat, ".", &model);
    check_file(flat, "ema", &average);
    check_file(flat, "ema.module", &average);
    for (size_t i = 0; i < average.count; i++)
        free(names[i]);
    free(both);
    close_model(&model), close_model(&average);
    free(path), free(flat);
    scratch_remove(folder);
}

/* A prefix that no list has is taken off only if the caller names it. */
static void takes_off_any_named_prefix(void **state)
{
    (void)state;
    struct model model;
    struct weights *weights;
    char *folder = scratch_folder(), *path = scratch_path(folder, "model.safetensors");
    open_model(OPENCLIP_FILE, "towers.student.", "", &model);
    write_safetensors(path, &model);
    assert_failed(weights_open(path, &weights), VKCLIP_EUNSUPPORTED,
                  "(T5), found towers.student.ln_final.bias");
    check_file(path, "towers.student", &model);
    close_model(&model);
    free(path);
    scratch_remove(folder);
}

/* A checkpoint of OpenCLIP's training has its activation nowhere. */
static void does_not_guess_for_openclip(void **state)
{
    (void)state;
    struct model model;
    struct config config;
    struct weights *weights;
    const struct vkclip_model_params params = {.size = sizeof(params),
                                               .activation = VKCLIP_ACTIVATION_QUICK_GELU};
    char *folder = scratch_folder(), *path = scratch_path(folder, "epoch_3.pt");
    open_model("models/openai-vit/model.pt", "module.", "", &model);
    const struct archive_dict run = {"state_dict", model.views, model.count,
                                     EPOCH STR("\x04", "name") STR("\x08", "ViT-B-32")};
    const struct archive_dict other = {"state_dict", model.views, model.count, EPOCH};
    write_torch(folder, "epoch_3.pt", &other, 1);
    assert_int_equal(open_close(path, NULL), 0);
    write_torch(folder, "epoch_3.pt", &run, 1);
    assert_failed(open_close(path, NULL), VKCLIP_EUNSUPPORTED,
                  "run \"ViT-B-32\" does not tell its activation: put the open_clip_config.json");
    assert_int_equal(checkpoint_open(path, &params, &config, &weights), 0);
    assert_same_weights(weights, model.weights, false);
    config_close(&config), weights_close(&weights);
    close_model(&model);
    free(path);
    scratch_remove(folder);
}

/* The params.txt of the run lies beside the folder of its checkpoints. */
static void reads_the_parameters_of_a_run(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum vkclip_activation activation;
    } cases[] = {
        {"lr: 0.001\nmodel: ViT-B-32\nname: model: RN50\n", VKCLIP_ACTIVATION_GELU},
        {"model: ViT-B-32-quickgelu\r\n", VKCLIP_ACTIVATION_QUICK_GELU},
        {"force_quick_gelu: True\nmodel: ViT-B-32", VKCLIP_ACTIVATION_QUICK_GELU},
        {"force_quick_gelu: False\nmodel: ViT-B-32\npretrained: openai",
         VKCLIP_ACTIVATION_QUICK_GELU},
    };
    struct model model;
    struct config config;
    struct weights *weights;
    char *folder = scratch_folder(), *inner = scratch_path(folder, "checkpoints");
    char *path = scratch_path(inner, "epoch_3.pt");
    open_model("models/openai-vit/model.pt", "module.", "", &model);
    const struct archive_dict run = {"state_dict", model.views, model.count,
                                     EPOCH STR("\x04", "name") STR("\x08", "ViT-B-32")};
    assert_int_equal(folder_make(inner), 0);
    write_torch(inner, "epoch_3.pt", &run, 1);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        scratch_write(folder, "params.txt", cases[i].text, strlen(cases[i].text));
        assert_int_equal(
            checkpoint_open(
                path, &(struct vkclip_model_params){.size = sizeof(struct vkclip_model_params)},
                &config, &weights),
            0);
        assert_int_equal(config.text.activation, cases[i].activation);
        assert_int_equal(config.image.activation, cases[i].activation);
        config_close(&config), weights_close(&weights);
    }
    scratch_write(folder, "params.txt", "model: ViT-L-14-CLIPA\n", 22);
    assert_failed(open_close(path, NULL), VKCLIP_EUNSUPPORTED,
                  "params.txt: model: \"ViT-L-14-CLIPA\" is not an architecture");
    close_model(&model);
    free(path), free(inner);
    scratch_remove(folder);
}

/* The state dict of OpenAI's image tower alone has names without "visual.". */
static void reads_image_towers_alone(void **state)
{
    (void)state;
    static const struct {
        const char *golden;
        enum tower_kind kind;
    } cases[] = {{"models/openai-vit/model.pt", KIND_VIT},
                 {"models/openai-rn/model.safetensors", KIND_RESNET}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *folder = scratch_folder(), *path = scratch_path(folder, "tower.pt");
        struct tensor_view views[TENSORS_MAX];
        size_t count = 0;
        struct model model;
        struct config config;
        struct weights *weights;
        const char *name;
        open_model(cases[i].golden, "", "", &model);
        for (size_t j = 0; j < model.count; j++)
            if (string_begins_with(model.views[j].name, "visual.")) {
                views[count] = model.views[j];
                views[count++].name += strlen("visual.");
            }
        write_torch(folder, "tower.pt", &(struct archive_dict){NULL, views, count, NULL}, 1);
        if (checkpoint_open(path, NULL, &config, &weights))
            fail_msg("%s", vkclip_last_error());
        assert_int_equal(config.image.kind, cases[i].kind);
        assert_int_equal(config.text.kind, KIND_NONE);
        for (count = 0; (name = weights_name(weights, count)); count++)
            assert_same_weight(weights, model.weights, name, false);
        assert_true(count > 15);
        config_close(&config), weights_close(&weights);
        close_model(&model);
        free(path);
        scratch_remove(folder);
    }
}

/* Words are taken off while all names have them, and never a part of a word. */
static void removes_common_words(void **state)
{
    (void)state;
    static const struct {
        const char *names[2], *expected[2];
    } cases[] = {
        {{"module.a", "module.b"}, {"a", "b"}},
        {{"state_dict.module.a", "state_dict.model.b"}, {"module.a", "model.b"}},
        {{"models.a", "models.b"}, {"models.a", "models.b"}},
        {{"module.a", "b"}, {"module.a", "b"}},
        {{"model.a", "model.model.a"}, {"a", "model.a"}},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct tensor_view views[2] = {{.name = cases[i].names[0]}, {.name = cases[i].names[1]}};
        prefixes_remove_common(views, 2);
        assert_string_equal(views[0].name, cases[i].expected[0]);
        assert_string_equal(views[1].name, cases[i].expected[1]);
    }
    prefixes_remove_common(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(removes_prefixes),
        cmocka_unit_test(reads_training_checkpoints),
        cmocka_unit_test(asks_which_set_is_meant),
        cmocka_unit_test(does_not_guess_for_openclip),
        cmocka_unit_test(reads_the_parameters_of_a_run),
        cmocka_unit_test(reads_image_towers_alone),
        cmocka_unit_test(removes_common_words),
        cmocka_unit_test(takes_off_any_named_prefix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
