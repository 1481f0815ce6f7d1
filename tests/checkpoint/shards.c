/* SPDX-License-Identifier: MIT
 *
 * A checkpoint in several files: the same tensors as in one, and an index that does not fit its
 * files is refused with what is wrong.
 */
#define _GNU_SOURCE
#include <jansson.h>

#include "base/array.h"
#include "base/file.h"
#include "base/half.h"
#include "base/string.h"
#include "support/scratch.h"

#include "checkpoint/open.h"
#include "support/torch_files.h"

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

/* The shards as PyTorch's files. */
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

/* Every tensor is there once; the values are those of the same weights in one file, in half
 * precision. */
static void check_as_one(const char *folder, const char *name_of_index)
{
    char *index = scratch_path(folder, name_of_index);
    char *one = golden_path("models/hf-vit");
    const char *const paths[] = {folder, index};
    for (size_t p = 0; p < ARRAY_COUNT(paths); p++) {
        struct weights *found, *expected;
        struct config config, other;
        const char *name;
        size_t count = 0;
        if (checkpoint_open(paths[p], NULL, &config, &found))
            fail_msg("%s", vkclip_last_error());
        assert_int_equal(checkpoint_open(one, NULL, &other, &expected), 0);
        assert_string_equal(weights_path(found), index);
        assert_int_equal(weights_parameters(found), weights_parameters(expected));
        for (; (name = weights_name(expected, count)); count++) {
            uint64_t shape[TENSOR_MAX_RANK], size = 1;
            unsigned rank;
            assert_string_equal(weights_name(found, count), name);
            assert_true(weights_shape(found, name, shape, &rank));
            for (unsigned i = 0; i < rank; i++)
                size *= shape[i];
            float *a = malloc(size * sizeof(*a)), *b = malloc(size * sizeof(*b));
            assert_int_equal(weights_read(found, name, 0, rank ? shape[0] : 1, a), 0);
            assert_int_equal(weights_read(expected, name, 0, rank ? shape[0] : 1, b), 0);
            for (uint64_t i = 0; i < size; i++)
                assert_true(a[i] == half_to_float(half_from_float(b[i])));
            free(a), free(b);
        }
        assert_null(weights_name(found, count));
        weights_close(&found), weights_close(&expected);
        config_close(&config), config_close(&other);
    }
    free(index), free(one);
}

static void as_one(void **state)
{
    (void)state;
    char *folder = copy_golden("hf-vit-sharded");
    check_as_one(folder, "model.safetensors.index.json");
    make_torch(folder);
    check_as_one(folder, "pytorch_model.bin.index.json");
    scratch_remove(folder);
}

/* The index of PyTorch's files names no others. */
static void bad_torch_index(void **state)
{
    (void)state;
    static const struct {
        const char *index, *message;
    } cases[] = {
        {"{\"weight_map\":{\"a\":\"x.safetensors\"}}", "expected the name of a .bin file"},
        {"{\"weight_map\":{\"a\":\"../x.bin\"}}", "found ../x.bin"},
        {"{\"weight_map\":{\"a\":\"x.bin\"}}", "x.bin: "},
        {"{\"weight_map\":{\"a\":\"pytorch_model-00001-of-00003.bin\"}}", "has no tensor a, "},
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

static void bad_index(void **state)
{
    (void)state;
#define MAP(tensor, file) "{\"weight_map\":{\"" tensor "\":\"" file "\"}}"
    static const struct {
        const char *index;
        int error;
        const char *message;
    } cases[] = {
        {"", VKCLIP_EFORMAT, "line 1: "},
        {"[]", VKCLIP_EFORMAT, "expected an object \"weight_map\""},
        {"{\"weight_map\":{}}", VKCLIP_EFORMAT, "expected an object \"weight_map\""},
        {"{\"weight_map\":[\"a\"]}", VKCLIP_EFORMAT, "expected an object \"weight_map\""},
        {"{\"weight_map\":{\"a\":1}}", VKCLIP_EFORMAT, "found something else"},
        {"{\"weight_map\":{\"a\":\"b\",\"a\":\"b\"}}", VKCLIP_EFORMAT, "duplicate object key"},
        {MAP("a", "../model-00001-of-00003.safetensors"), VKCLIP_EFORMAT,
         "a: expected the name of a .safetensors file beside the index, found ../model"},
        {MAP("a", "/etc/x.safetensors"), VKCLIP_EFORMAT, "found /etc/x.safetensors"},
        {MAP("a", "b/c.safetensors"), VKCLIP_EFORMAT, "found b/c.safetensors"},
        {MAP("a", "b\\\\c.safetensors"), VKCLIP_EFORMAT, "found b\\c.safetensors"},
        {MAP("a", "c:x.safetensors"), VKCLIP_EFORMAT, "found c:x.safetensors"},
        {MAP("a", ".safetensors"), VKCLIP_EFORMAT, "found .safetensors"},
        {MAP("a", ""), VKCLIP_EFORMAT, "beside the index, found "},
        {MAP("a", "config.json"), VKCLIP_EFORMAT, "found config.json"},
        {MAP("a", "none.safetensors"), VKCLIP_EIO, "none.safetensors: no such file, but "},
        {MAP("a", "model-00001-of-00003.safetensors"), VKCLIP_EFORMAT, "has no tensor a, which "},
        {MAP("a", "short.safetensors"), VKCLIP_EFORMAT, "short.safetensors: "},
        {MAP("logit_scale", "model-00001-of-00003.safetensors"), VKCLIP_EUNSUPPORTED,
         "not a CLIP checkpoint"},
        {MAP("text_model.embeddings.token_embedding.weight", "model-00001-of-00003.safetensors"),
         VKCLIP_EFORMAT, "is missing"},
    };
    char *folder = copy_golden("hf-vit-sharded");
    scratch_text(folder, "short.safetensors", "{}");
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
        cmocka_unit_test(as_one),
        cmocka_unit_test(bad_index),
        cmocka_unit_test(bad_torch_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
