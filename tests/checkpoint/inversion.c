/* SPDX-License-Identifier: MIT
 *
 * Textual inversions of every form have the vectors that their trainers stored, and belong to the
 * text encoders that they were made for.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "support/scratch.h"
#include "checkpoint/inversion.h"
#include "format/safetensors.h"

#include <math.h>

static char *embeddings_folder(void)
{
    char *path = golden_path("conditioning/prompts/embeddings");
    assert_non_null(path);
    return path;
}

static void reads_all_forms(void **state)
{
    (void)state;
    /* The folder lists its files by name. Vectors are for any encoder of that width, or one. */
    static const struct {
        const char *name;
        uint32_t counts[2], widths[2];
        const char *encoders[2];
    } expected[] = {
        {"bad-hands", {2}, {64}, {NULL}},
        {"cat-toy", {1}, {64}, {NULL}},
        {"foggy-style", {3}, {64}, {NULL}},
        {"tiny3", {4}, {64}, {NULL}},
        {"xl-paint", {2, 2}, {128, 64}, {"clip_g", "clip_l"}},
    };
    char *folder = embeddings_folder();
    struct inversions found = {0};
    if (inversions_add(&found, folder))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(found.count, ARRAY_COUNT(expected));
    for (size_t i = 0; i < found.count; i++) {
        const struct inversion *inversion = &found.list[i];
        assert_string_equal(inversion->name, expected[i].name);
        assert_int_equal(inversion->count, expected[i].counts[1] ? 2 : 1);
        for (size_t v = 0; v < inversion->count; v++) {
            const struct inversion_vectors *vectors = &inversion->vectors[v];
            const char *encoder = expected[i].encoders[v];
            double sum = 0;
            assert_int_equal(vectors->count, expected[i].counts[v]);
            assert_int_equal(vectors->width, expected[i].widths[v]);
            assert_true(encoder ? !strcmp(vectors->encoder, encoder) : !vectors->encoder);
            for (uint32_t j = 0; j < vectors->count * vectors->width; j++)
                sum += fabs((double)vectors->values[j]);
            assert_true(sum > 1e-3 && sum < 1e3);
            assert_ptr_equal(
                inversion_find(inversion, encoder ? encoder : "clip_h", vectors->width), vectors);
            assert_null(inversion_find(inversion, encoder ? encoder : "clip_h", 77));
            assert_true(!encoder || !inversion_find(inversion, "clip_h", vectors->width));
        }
    }
    inversions_close(&found);
    free(folder);
}

/* A ParameterDict, in which the first programs for textual inversion kept their vectors. */
static void reads_the_oldest_form(void **state)
{
    (void)state;
    static const float expected[] = {1, -2, 3, 0.5f, 0, -0.25f};
    char *path = golden_path("conditioning/inversions/older.pt");
    struct inversions found = {0};
    if (inversions_add(&found, path))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(found.count, 1);
    assert_memory_equal(found.list[0].vectors[0].values, expected, sizeof(expected));
    inversions_close(&found);
    free(path);
}

static void refuses_other_files(void **state)
{
    (void)state;
    static const float data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    static const struct {
        size_t count;
        struct tensor_view views[2];
        const char *message;
    } bad[] = {
        {0, {{0}}, "not a textual inversion: expected one tensor, or clip_l and clip_g, found 0"},
        {2,
         {{"a", DTYPE_F32, 1, {4}, data, 16}, {"b", DTYPE_F32, 1, {4}, data, 16}},
         "expected one tensor, or clip_l and clip_g, found 2 tensors"},
        {1,
         {{"a", DTYPE_F32, 3, {1, 1, 4}, data, 16}},
         "a: expected 1 to 1024 vectors of 1 to 16384 numbers, [n,width] or [width], found 1 of 4 "
         "of type F32 in 3 dimensions"},
        {1, {{"a", DTYPE_I32, 1, {4}, data, 16}}, "found 1 of 4 of type I32 in 1 dimensions"},
        {1, {{"a", DTYPE_F32, 2, {0, 4}, data, 0}}, "found 0 of 4 of type F32"},
        {1, {{"a", DTYPE_F32, 0, {0}, data, 4}}, "in 0 dimensions"},
        {1, {{"clip_l", DTYPE_F32, 2, {2, 0}, data, 0}}, "clip_l: expected 1 to 1024 vectors"},
    };
    char *folder = scratch_folder(), *path = scratch_path(folder, "bad.safetensors");
    struct inversions found = {0};
    for (size_t i = 0; i < ARRAY_COUNT(bad); i++) {
        assert_int_equal(safetensors_write(path, bad[i].views, bad[i].count, NULL), 0);
        assert_failed(inversions_add(&found, path), VKCLIP_EFORMAT, bad[i].message);
        assert_int_equal(found.count, 0);
    }
    assert_int_equal(inversions_add(&found, folder), 0);
    assert_int_equal(found.count, 0);
    scratch_text(folder, "torn.pt", "PK");
    char *torn = scratch_path(folder, "torn.pt");
    assert_failed(inversions_add(&found, torn), VKCLIP_EFORMAT, "torn.pt: zip archive: ");
    assert_failed(inversions_add(&found, "/nowhere.pt"), VKCLIP_EIO, "/nowhere.pt");
    inversions_close(&found);
    free(path), free(torn);
    scratch_remove(folder);
}

/* The first file of a name is used. Vectors for more encoders than the known ones are ignored. */
static void keeps_the_first_of_a_name(void **state)
{
    (void)state;
    static const float data[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    const struct tensor_view first = {"clip_l", DTYPE_F32, 1, {4}, data, 16};
    const struct tensor_view second[] = {{"text_encoders_0", DTYPE_F32, 1, {4}, data + 4, 16},
                                         {"text_encoders_1", DTYPE_F32, 2, {2, 2}, data + 4, 16},
                                         {"tokens", DTYPE_F32, 1, {2}, data, 8}};
    char *folder = scratch_folder(), *path = scratch_path(folder, "a.safetensors");
    char *other = scratch_path(folder, "b.safetensors");
    char *inner = scratch_path(folder, "inner"), *twice = scratch_path(inner, "a.safetensors");
    struct inversions found = {0};
    assert_int_equal(folder_make(inner), 0);
    assert_int_equal(safetensors_write(path, &first, 1, NULL), 0);
    assert_int_equal(safetensors_write(other, second, 3, NULL), 0);
    assert_int_equal(safetensors_write(twice, second, 1, NULL), 0);
    assert_int_equal(inversions_add(&found, folder), 0);
    assert_int_equal(inversions_add(&found, twice), 0);
    assert_int_equal(found.count, 2);
    assert_true(inversion_find(&found.list[0], "clip_l", 4)->values[0] == 1);
    assert_true(inversion_find(&found.list[1], "clip_l", 4)->values[0] == 5);
    assert_int_equal(inversion_find(&found.list[1], "clip_g", 2)->count, 2);
    assert_int_equal(found.list[1].count, 2);
    inversions_close(&found);
    free(path), free(other), free(inner), free(twice);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_all_forms),
        cmocka_unit_test(reads_the_oldest_form),
        cmocka_unit_test(refuses_other_files),
        cmocka_unit_test(keeps_the_first_of_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
