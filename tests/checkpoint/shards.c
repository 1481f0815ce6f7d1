/* SPDX-License-Identifier: MIT
 *
 * A checkpoint in several files has the same tensors as in one file, and an index that does not fit
 * its files is refused with a message that says what is wrong.
 */
#define _GNU_SOURCE
#include <jansson.h>

#include "base/array.h"
#include "base/file.h"
#include "base/string.h"
#include "support/scratch.h"

#include "checkpoint/open.h"
#include "support/torch_files.h"
#include "support/weights.h"

static char *copy_golden(const char *name)
{
    static const char *const files[] = {
        "model.safetensors.index.json",     "config.json",
        "preprocessor_config.json",         "model-00001-of-00003.safetensors",
        "model-00002-of-00003.safetensors", "model-00003-of-00003.safetensors"};
    char *folder = scratch_folder();
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        char *relative = string_format("models/%s/%s", name, files[i]);
        char *path = golden_path(relative), *data;
        size_t size;
        assert_int_equal(file_read(path, 1 << 24, &data, &size), 0);
        scratch_write(folder, files[i], data, size);
        free(data), free(path), free(relative);
    }
    return folder;
}

/* Replaces the safetensors shards and their index by those of PyTorch. */
static void make_torch(const char *folder)
{
    char *path = scratch_path(folder, "model.safetensors.index.json"), *text;
    size_t size;
    json_t *map = json_object();
    remove(path);
    free(path);
    for (int shard = 1; shard <= 3; shard++) {
        char name[64];
        struct safetensors *file;
        snprintf(name, sizeof(name), "model-%05d-of-00003.safetensors", shard);
        path = scratch_path(folder, name);
        assert_int_equal(safetensors_open(path, &file), 0);
        uint8_t *data = archive_save(file->tensors, file->count, &size);
        snprintf(name, sizeof(name), "pytorch_model-%05d-of-00003.bin", shard);
        scratch_write(folder, name, data, size);
        for (size_t i = 0; i < file->count; i++)
            json_object_set_new(map, file->tensors[i].name, json_string(name));
        safetensors_close(&file);
        remove(path);
        free(path), free(data);
    }
    json_t *root = json_pack("{so}", "weight_map", map);
    text = json_dumps(root, 0);
    scratch_text(folder, "pytorch_model.bin.index.json", text);
    json_decref(root);
    free(text);
}

/* Opens the shards by their folder and by their index, and checks that their values are those of
 * one file with the same weights, rounded to half precision. */
static void check_shards(const char *folder, const char *name_of_index)
{
    char *index = scratch_path(folder, name_of_index);
    char *one = golden_path("models/hf-vit");
    const char *const paths[] = {folder, index};
    for (size_t p = 0; p < ARRAY_COUNT(paths); p++) {
        struct weights *found, *expected;
        struct config config, other;
        if (checkpoint_open(paths[p], NULL, &config, &found))
            fail_msg("%s", vkclip_last_error());
        assert_int_equal(checkpoint_open(one, NULL, &other, &expected), 0);
        assert_string_equal(weights_path(found), index);
        assert_same_weights(found, expected, true);
        weights_close(&found), weights_close(&expected);
        config_close(&config), config_close(&other);
    }
    free(index), free(one);
}

static void reads_as_one_file(void **state)
{
    (void)state;
    char *folder = copy_golden("hf-vit-sharded");
    check_shards(folder, "model.safetensors.index.json");
    make_torch(folder);
    check_shards(folder, "pytorch_model.bin.index.json");
    scratch_remove(folder);
}

/* The files lie in a folder below the index, which also names a tensor that none of them has. */
static void reads_files_below_the_index(void **state)
{
    (void)state;
    static const char index_name[] = "model.safetensors.index.json";
    char *folder = copy_golden("hf-vit-sharded"), *below = scratch_path(folder, "weights");
    char *path = scratch_path(folder, index_name);
    json_t *index = json_load_file(path, 0, NULL), *map = json_object_get(index, "weight_map");
    const char *tensor;
    json_t *name;
    assert_int_equal(folder_make(below), 0);
    json_object_foreach (map, tensor, name) {
        char *file = string_format("weights/%s", json_string_value(name));
        char *source = scratch_path(folder, json_string_value(name));
        char *target = scratch_path(folder, file);
        if (file_exists(source))
            assert_int_equal(rename(source, target), 0);
        json_string_set(name, file);
        free(file), free(source), free(target);
    }
    json_object_set_new(map, "not.there", json_string("weights/model-00001-of-00003.safetensors"));
    char *text = json_dumps(index, 0);
    scratch_text(folder, index_name, text);
    check_shards(folder, index_name);
    json_decref(index);
    free(text), free(path), free(below);
    scratch_remove(folder);
}

/* A broken index of PyTorch's files is refused with a message that says what is wrong. */
static void refuses_bad_torch_indices(void **state)
{
    (void)state;
    static const struct {
        const char *index, *message;
    } cases[] = {
        {"{\"weight_map\":{\"a\":\"x.safetensors\"}}", "expected the name of a .bin file"},
        {"{\"weight_map\":{\"a\":\"../x.bin\"}}", "found ../x.bin"},
        {"{\"weight_map\":{\"a\":\"x.bin\"}}", "x.bin: "},
    };
    char *folder = copy_golden("hf-vit-sharded");
    make_torch(folder);
    scratch_text(folder, "x.bin", "PK, and no more");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct weights *weights;
        struct config config;
        scratch_text(folder, "pytorch_model.bin.index.json", cases[i].index);
        assert_failed(checkpoint_open(folder, NULL, &config, &weights), VKCLIP_EFORMAT,
                      cases[i].message);
    }
    scratch_remove(folder);
}

static void refuses_bad_indices(void **state)
{
    (void)state;
#define MAP(tensor, file) "{\"weight_map\":{\"" tensor "\":\"" file "\"}}"
    static const struct {
        const char *index;
        int error;
        const char *message;
    } cases[] = {
        {"", VKCLIP_EFORMAT, "model.safetensors.index.json: is empty"},
        {" ", VKCLIP_EFORMAT, "line 1: "},
        {"[]", VKCLIP_EFORMAT, "expected an object \"weight_map\""},
        {"{\"weight_map\":{}}", VKCLIP_EFORMAT, "expected an object \"weight_map\""},
        {"{\"weight_map\":[\"a\"]}", VKCLIP_EFORMAT, "expected an object \"weight_map\""},
        {"{\"weight_map\":{\"a\":1}}", VKCLIP_EFORMAT, "found something else"},
        {"{\"weight_map\":{\"a\":\"b\",\"a\":\"b\"}}", VKCLIP_EFORMAT, "duplicate object key"},
        {MAP("a", "../model-00001-of-00003.safetensors"), VKCLIP_EFORMAT,
         "a: expected the name of a .safetensors file beside the index, found ../model"},
        {MAP("a", "/etc/x.safetensors"), VKCLIP_EFORMAT, "found /etc/x.safetensors"},
        {MAP("a", "b/c.safetensors"), VKCLIP_EIO, "b/c.safetensors: no such file, but "},
        {MAP("a", "b/../../c.safetensors"), VKCLIP_EFORMAT, "found b/../../c.safetensors"},
        {MAP("a", "b//c.safetensors"), VKCLIP_EFORMAT, "found b//c.safetensors"},
        {MAP("a", "b/.safetensors"), VKCLIP_EFORMAT, "found b/.safetensors"},
        {MAP("a", "b\\\\c.safetensors"), VKCLIP_EFORMAT, "found b\\c.safetensors"},
        {MAP("a", "c:x.safetensors"), VKCLIP_EFORMAT, "found c:x.safetensors"},
        {MAP("a", ".safetensors"), VKCLIP_EFORMAT, "found .safetensors"},
        {MAP("a", ""), VKCLIP_EFORMAT, "beside the index, found "},
        {MAP("a", "config.json"), VKCLIP_EFORMAT, "found config.json"},
        {MAP("a", "none.safetensors"), VKCLIP_EIO, "none.safetensors: no such file, but "},
        {MAP("a", "model-00001-of-00003.safetensors"), VKCLIP_EUNSUPPORTED, "found none"},
        {MAP("a", "empty.safetensors"), VKCLIP_EFORMAT, "empty.safetensors: is empty"},
        {MAP("a", "short.safetensors"), VKCLIP_EFORMAT, "short.safetensors: "},
        {MAP("logit_scale", "model-00001-of-00003.safetensors"), VKCLIP_EUNSUPPORTED,
         "neither CLIP nor T5"},
        {MAP("text_model.embeddings.token_embedding.weight", "model-00001-of-00003.safetensors"),
         VKCLIP_EFORMAT, "is missing"},
    };
    char *folder = copy_golden("hf-vit-sharded");
    scratch_text(folder, "short.safetensors", "{}");
    scratch_text(folder, "empty.safetensors", "");
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct weights *weights;
        struct config config;
        scratch_text(folder, "model.safetensors.index.json", cases[i].index);
        assert_failed(checkpoint_open(folder, NULL, &config, &weights), cases[i].error,
                      cases[i].message);
        assert_null(weights);
    }
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_as_one_file),
        cmocka_unit_test(reads_files_below_the_index),
        cmocka_unit_test(refuses_bad_indices),
        cmocka_unit_test(refuses_bad_torch_indices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
