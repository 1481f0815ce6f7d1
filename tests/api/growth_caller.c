/* SPDX-License-Identifier: MIT
 *
 * GROWTH_CALL is the name of the function, and the build's flags say which vkclip.h is included.
 */
#include "api/growth_caller.h"
#include "api/growth_guards.h"

#include <math.h>

enum { DEVICES = 8, LABELS = 3, D = 128 };

#define MODEL "models/emoji-clip"

static const char *use_devices(struct vkclip_device **device)
{
    struct {
        struct vkclip_device_info infos[DEVICES];
        unsigned char behind[GUARDS];
    } list;
    size_t count = 0, opened = 0;
    memset(&list, GUARD, sizeof(list));
    memset(list.infos, 0, sizeof(list.infos));
    list.infos[0].size = sizeof(list.infos[0]);
    EXPECT(!vkclip_list_devices(list.infos, DEVICES, &count));
    EXPECT(count && is_guard(list.behind));
    for (size_t i = 0; i < count && i < DEVICES; i++) {
        EXPECT(list.infos[i].size == sizeof(list.infos[i]) && list.infos[i].index == i);
        EXPECT(*list.infos[i].name && *list.infos[i].driver);
    }
    GUARDED(vkclip_device_params, params);
    params.value.cache_dir = "";
    EXPECT(!vkclip_open_device(&params.value, device) && INTACT(params));
    GUARDED(vkclip_device_info, info);
    EXPECT(!vkclip_get_device_info(*device, &info.value) && INTACT(info));
    EXPECT(*info.value.name);
    EXPECT(!vkclip_get_device_infos(*device, list.infos, DEVICES, &opened));
    EXPECT(opened == 1 && !strcmp(list.infos[0].name, info.value.name) && is_guard(list.behind));
    return NULL;
}

static const char *use_model(struct vkclip_device *device, struct vkclip_model **model)
{
    GUARDED(vkclip_model_params, params);
    params.value.max_batch = 2;
    params.value.vocab = MODEL "/vocab.json";
    EXPECT(!vkclip_open_model(device, MODEL, &params.value, model) && INTACT(params));
    GUARDED(vkclip_model_info, info);
    EXPECT(!vkclip_get_model_info(*model, &info.value) && INTACT(info));
    EXPECT(info.value.embed_dim == D && info.value.family == VKCLIP_FAMILY_HF);
    EXPECT(strstr(info.value.tokenizer_path, "vocab.json") && info.value.parameters > 1000000);
    GUARDED(vkclip_cost, cost);
    EXPECT(!vkclip_profile(*model, VKCLIP_TOWER_TEXT, 1, NULL, NULL, &cost.value) && INTACT(cost));
    EXPECT(cost.value.operations > 0 && cost.value.device_bytes > 1000000);
    return NULL;
}

static const char *encode(struct vkclip_model *model)
{
    static const char *const labels[LABELS] = {"owl", "pizza", "robot"};
    const char *template = "a picture of {}";
    struct vkclip_image image;
    float embeds[LABELS * D], probs[LABELS];
    GUARDED(vkclip_image_params, image_params);
    image_params.value.orient = true;
    EXPECT(!vkclip_load_image(MODEL "/samples/robot.png", &image_params.value, &image));
    EXPECT(INTACT(image_params));
    GUARDED(vkclip_encode_params, params);
    params.value.strict = true;
    EXPECT(!vkclip_encode_labels(model, labels, LABELS, &template, 1, &params.value, embeds));
    const int error = vkclip_classify(model, &image, 1, embeds, LABELS, &params.value, NULL, probs);
    vkclip_free_image(&image);
    EXPECT(!error && INTACT(params) && probs[2] > 0.5F);
    GUARDED(vkclip_prompt_params, prompt_params);
    prompt_params.value.syntax = VKCLIP_SYNTAX_A1111;
    GUARDED(vkclip_prompt, prompt);
    EXPECT(!vkclip_tokenize_prompt(model, "an (owl:1.5)", 12, &prompt_params.value, &prompt.value));
    EXPECT(INTACT(prompt_params) && INTACT(prompt));
    EXPECT(prompt.value.chunks == 1 && fabs(prompt.value.places[2].weight - 1.5) < 1e-6);
    vkclip_free_prompt(&prompt.value);
    EXPECT(INTACT(prompt) && !prompt.value.places && !prompt.value.chunks);
    return NULL;
}

static const char *use_files(const char *folder)
{
    char path[1024];
    struct vkclip_index *index = NULL;
    snprintf(path, sizeof(path), "%s/converted.safetensors", folder);
    GUARDED(vkclip_convert_params, params);
    params.value.type = VKCLIP_TYPE_F16;
    GUARDED(vkclip_conversion, conversion);
    EXPECT(!vkclip_convert_model(MODEL, NULL, path, &params.value, &conversion.value));
    EXPECT(INTACT(params) && INTACT(conversion));
    EXPECT(conversion.value.bytes_after && !strcmp(conversion.value.path, path));
    if (!vkclip_has_search())
        return NULL;
    snprintf(path, sizeof(path), "%s/index.db", folder);
    GUARDED(vkclip_index_params, index_params);
    index_params.value.path = path;
    EXPECT(!vkclip_open_index(&index_params.value, &index) && INTACT(index_params));
    GUARDED(vkclip_index_info, info);
    const int error = vkclip_get_index_info(index, &info.value);
    vkclip_close_index(&index);
    EXPECT(!error && INTACT(info) && strstr(info.value.path, "index.db"));
    return NULL;
}

static const char *fit_probe(void)
{
    static const float features[] = {1, 0, 0, 1};
    static const uint32_t labels[] = {0, 1};
    float weights[4], biases[2];
    GUARDED(vkclip_probe_params, params);
    params.value.c = 2;
    GUARDED(vkclip_probe_result, result);
    EXPECT(!vkclip_fit_probe(features, labels, 2, 2, 2, &params.value, weights, biases,
                             &result.value));
    EXPECT(INTACT(params) && INTACT(result) && result.value.converged && result.value.iterations);
    return NULL;
}

#ifdef GROWTH_NEWER
/* This library does not know the members `newer`. */
static const char *ask_for_what_is_unknown(void)
{
    struct vkclip_model *model = NULL;
    GUARDED(vkclip_model_params, params);
    params.value.newer[3] = (uint64_t)1 << 56;
    EXPECT(vkclip_open_model(NULL, MODEL, &params.value, &model) == VKCLIP_EUNSUPPORTED);
    EXPECT(!model && strstr(vkclip_last_error(), "vkclip_model_params"));
    EXPECT(!vkclip_open_model(NULL, MODEL, NULL, &model));
    GUARDED(vkclip_model_info, info);
    info.value.newer[0] = info.value.newer[3] = 77;
    const int error = vkclip_get_model_info(model, &info.value);
    vkclip_close_model(&model);
    EXPECT(!error && info.value.embed_dim == D && INTACT(info));
    EXPECT(info.value.newer[0] == 77 && info.value.newer[3] == 77);
    return NULL;
}
#else
static const char *ask_for_what_is_unknown(void)
{
    return NULL;
}
#endif

const char *GROWTH_CALL(const char *folder)
{
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    const char *failure = use_devices(&device);
    if (!failure)
        failure = use_model(device, &model);
    if (!failure)
        failure = encode(model);
    if (!failure)
        failure = use_files(folder);
    if (!failure)
        failure = fit_probe();
    if (!failure)
        failure = ask_for_what_is_unknown();
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    return failure;
}
