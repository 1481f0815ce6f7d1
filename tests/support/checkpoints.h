/* SPDX-License-Identifier: MIT
 *
 * Makes folders with a small reference model, which a test then damages.
 */
#ifndef VKCLIP_TESTS_SUPPORT_CHECKPOINTS_H
#define VKCLIP_TESTS_SUPPORT_CHECKPOINTS_H

#include "base/string.h"
#include "support/scratch.h"
#include "checkpoint/open.h"

#include <jansson.h>

#define HF "models/hf-vit-bf16"
#define OPENCLIP "models/openclip-vit"
#define RESNET "models/openai-rn"
#define TEXT_ONLY "models/sdxl-text2/text_encoder"
#define FORMAT VKCLIP_EFORMAT
#define UNSUPPORTED VKCLIP_EUNSUPPORTED

static inline int open_close(const char *path, const struct vkclip_model_params *params)
{
    struct config config;
    struct weights *weights;
    int error = checkpoint_open(path, params, &config, &weights);
    assert_true(error ? !weights && !config.tokenizer_path : weights != NULL);
    config_close(&config);
    weights_close(&weights);
    return error;
}

static inline void assert_tower(const struct config_tower *found,
                                const struct config_tower *expected)
{
    assert_int_equal(found->kind, expected->kind);
    assert_int_equal(found->projection, expected->projection);
    assert_int_equal(found->width, expected->width);
    assert_int_equal(found->layers, expected->layers);
    assert_int_equal(found->heads, expected->heads);
    assert_int_equal(found->mlp, expected->mlp);
    assert_int_equal(found->activation, expected->activation);
    assert_true(found->epsilon == expected->epsilon);
}

static inline char *golden_file(const char *folder, const char *name)
{
    char *relative = string_format("%s/%s", folder, name), *path = golden_path(relative);
    assert_non_null(path);
    char *absolute = file_resolve(path);
    assert_non_null(absolute);
    free(relative);
    free(path);
    return absolute;
}

/* Links a file of a reference model into a folder, under a new name unless `new_name` is NULL. */
static inline void link_golden(const char *folder, const char *golden, const char *name,
                               const char *new_name)
{
    char *target = golden_file(golden, name);
    char *path = scratch_path(folder, new_name ? new_name : name);
    scratch_link(target, path);
    free(target);
    free(path);
}

/* Makes a valid checkpoint: a folder with links to the files of a reference model. */
static inline char *good_folder(const char *golden)
{
    char *folder = scratch_folder();
    if (!strcmp(golden, OPENCLIP)) {
        link_golden(folder, golden, "open_clip_config.json", NULL);
        link_golden(folder, golden, "open_clip_model.safetensors", NULL);
        return folder;
    }
    link_golden(folder, golden, "config.json", NULL);
    link_golden(folder, golden, "model.safetensors", NULL);
    if (strcmp(golden, TEXT_ONLY))
        link_golden(folder, golden, "preprocessor_config.json", NULL);
    return folder;
}

static inline void replace(const char *folder, const char *name, const char *text)
{
    char *path = scratch_path(folder, name);
    remove(path);
    scratch_text(folder, name, text);
    free(path);
}

/* Sets the value at a dotted path in a JSON file. NULL removes the value. */
static inline void edit_json(const char *folder, const char *name, const char *path,
                             const char *value)
{
    char *file = scratch_path(folder, name), key[128];
    json_t *root = json_load_file(file, 0, NULL), *object = root;
    assert_non_null(root);
    for (; strchr(path, '.'); path = strchr(path, '.') + 1) {
        snprintf(key, sizeof(key), "%.*s", (int)strcspn(path, "."), path);
        object = json_object_get(object, key);
        assert_non_null(object);
    }
    if (value) {
        json_t *parsed = json_loads(value, JSON_DECODE_ANY, NULL);
        assert_non_null(parsed);
        json_object_set_new(object, path, parsed);
    } else {
        assert_int_equal(json_object_del(object, path), 0);
    }
    char *text = json_dumps(root, 0);
    replace(folder, name, text);
    free(text);
    json_decref(root);
    free(file);
}

#endif
