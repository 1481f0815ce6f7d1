/* SPDX-License-Identifier: MIT
 *
 * Safetensors files: what is written is read back, and every kind of broken file is refused with a
 * message that says what is wrong with it.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "base/folder.h"
#include "support/scratch.h"
#include "format/safetensors.h"

#ifndef _WIN32
#include <sys/stat.h>
#endif

#include <math.h>

#define T(dtype, shape, begin, end) \
    "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":[" #begin "," #end "]}"

/* Writes a file with this header, the number that claims to be the header's length (0 means its
 * true length), and the given number of bytes of data. */
static const struct bad {
    const char *header;
    uint64_t length;
    size_t data;
    int error;
    const char *message;
} bad_files[] = {
    {"", 0, 0, VKCLIP_EFORMAT, "found 0 bytes"},
    {"{}", 100, 0, VKCLIP_EFORMAT, "header of 100 bytes, found a file of 10"},
    {"{}", UINT64_MAX, 0, VKCLIP_EFORMAT, "header of 18446744073709551615 bytes"},
    {"{}", INT64_MAX, 0, VKCLIP_EFORMAT, "header of 9223372036854775807 bytes"},
    {"{}", UINT64_MAX - 7, 0, VKCLIP_EFORMAT, "truncated, or not safetensors"},
    {"{}", 1, 0, VKCLIP_EFORMAT, "found 1 bytes"},
    {"[]", 0, 0, VKCLIP_EFORMAT, "begins with '{'"},
    {" {}", 0, 0, VKCLIP_EFORMAT, "begin with 0x20"},
    {"{", 0, 0, VKCLIP_EFORMAT, "found 1 bytes"},
    {"{x", 0, 0, VKCLIP_EFORMAT, "safetensors header: "},
    {"{\"a\":", 0, 0, VKCLIP_EFORMAT, "safetensors header: "},
    {"{} {}", 0, 0, VKCLIP_EFORMAT, "end of file expected"},
    {"{\"a\":NaN}", 0, 0, VKCLIP_EFORMAT, "safetensors header: "},
    {"{\"\xff\":1}", 0, 0, VKCLIP_EFORMAT, "unable to decode byte 0xff"},
    {"{\"a\":" T("F32", "[1]", 0, 4) ",\"a\":" T("F32", "[1]", 0, 4) "}", 0, 4, VKCLIP_EFORMAT,
     "duplicate object key"},
    {"{\"\":" T("F32", "[1]", 0, 4) "}", 0, 4, VKCLIP_EFORMAT, "found one of 0"},
    {"{\"a\":1}", 0, 0, VKCLIP_EFORMAT, "a: expected an object with dtype"},
    {"{\"a\":{}}", 0, 0, VKCLIP_EFORMAT, "a: expected an object with dtype"},
    {"{\"a\":{\"dtype\":7,\"shape\":[],\"data_offsets\":[0,4]}}", 0, 4, VKCLIP_EFORMAT,
     "a: expected an object with dtype"},
    {"{\"a\":" T("F8_E8M0", "[4]", 0, 4) "}", 0, 4, VKCLIP_EUNSUPPORTED,
     "a: dtype F8_E8M0 is not supported"},
    {"{\"a\":" T("f32", "[1]", 0, 4) "}", 0, 4, VKCLIP_EUNSUPPORTED, "dtype f32"},
    {"{\"a\":" T("two\\nlines", "[1]", 0, 4) "}", 0, 4, VKCLIP_EUNSUPPORTED, "dtype two?lines"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 0, 4, VKCLIP_EFORMAT,
     "expected a shape of at most 8 sizes, found none"},
    {"{\"a\":" T("F32", "{}", 0, 4) "}", 0, 4, VKCLIP_EFORMAT, "expected a shape"},
    {"{\"a\":" T("F32", "[1,1,1,1,1,1,1,1,1]", 0, 4) "}", 0, 4, VKCLIP_EFORMAT, "found more"},
    {"{\"a\":" T("F32", "[-1]", 0, 4) "}", 0, 4, VKCLIP_EFORMAT, "other than integers from 0 up"},
    {"{\"a\":" T("F32", "[1.0]", 0, 4) "}", 0, 4, VKCLIP_EFORMAT, "other than integers from 0 up"},
    {"{\"a\":" T("F32", "[\"1\"]", 0, 4) "}", 0, 4, VKCLIP_EFORMAT, "other than integers"},
    {"{\"a\":" T("F32", "[99999999999999999999]", 0, 4) "}", 0, 4, VKCLIP_EFORMAT,
     "too big integer"},
    {"{\"a\":" T("F32", "[4294967296,4294967296]", 0, 0) "}", 0, 0, VKCLIP_EFORMAT, "overflows 64"},
    {"{\"a\":" T("F64", "[2305843009213693952]", 0, 0) "}", 0, 0, VKCLIP_EFORMAT, "overflows 64"},
    {"{\"a\":" T("F32", "[3037000500,3037000500,3037000500,0]", 0, 0) "}", 0, 0, VKCLIP_EFORMAT,
     "overflows 64"},
    {"{\"a\":" T("F32", "[1000000000000]", 0, 4000000000000) "}", 0, 4, VKCLIP_EFORMAT,
     "a: data_offsets [0, 4000000000000] lie outside the 4 bytes"},
    {"{\"a\":" T("F32", "[2]", 0, 8) "}", 0, 7, VKCLIP_EFORMAT, "outside the 7 bytes of data"},
    {"{\"a\":" T("F32", "[1]", 4, 0) "}", 0, 4, VKCLIP_EFORMAT, "data_offsets [4, 0]"},
    {"{\"a\":" T("F32", "[1]", -4, 0) "}", 0, 4, VKCLIP_EFORMAT, "not two integers from 0 up"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 0, 8, VKCLIP_EFORMAT,
     "not two integers"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 0, 4, VKCLIP_EFORMAT, "not two integers"},
    {"{\"a\":" T("F32", "[2]", 0, 4) "}", 0, 4, VKCLIP_EFORMAT,
     "expected 8 bytes by shape and dtype, found 4"},
    {"{\"a\":" T("F16", "[1]", 0, 4) "}", 0, 4, VKCLIP_EFORMAT, "expected 2 bytes"},
    {"{\"a\":" T("F32", "[2]", 0, 8) ",\"b\":" T("F32", "[2]", 4, 12) "}", 0, 12, VKCLIP_EFORMAT,
     "b: its data overlaps"},
    {"{\"a\":" T("F32", "[1]", 0, 4) ",\"b\":" T("F32", "[1]", 0, 4) "}", 0, 4, VKCLIP_EFORMAT,
     "overlaps"},
    {"{\"a\":" T("F32", "[1]", 0, 4) ",\"b\":" T("F32", "[1]", 8, 12) "}", 0, 12, VKCLIP_EFORMAT,
     "b: its data follows a gap"},
    {"{\"a\":" T("F32", "[1]", 4, 8) "}", 0, 8, VKCLIP_EFORMAT, "a: its data follows a gap"},
    {"{\"a\":" T("F32", "[1]", 0, 4) "}", 0, 9, VKCLIP_EFORMAT, "5 bytes after the last tensor"},
    {"{}", 0, 1, VKCLIP_EFORMAT, "1 bytes after the last tensor"},
    {"{\"__metadata__\":[]}", 0, 0, VKCLIP_EFORMAT, "__metadata__ is not a map of strings"},
    {"{\"__metadata__\":{\"a\":1}}", 0, 0, VKCLIP_EFORMAT, "__metadata__ is not a map of strings"},
};

/* Reads a file into memory of exactly its size, so that a sanitizer sees reads past the end. */
static uint8_t *build(const char *header, uint64_t length, size_t data, size_t *size)
{
    size_t text = strlen(header);
    *size = 8 + text + data;
    uint8_t *file = calloc(1, *size);
    assert_non_null(file);
    length = length ? length : text;
    for (int i = 0; i < 8; i++)
        file[i] = (uint8_t)(length >> 8 * i);
    memcpy(file + 8, header, text);
    return file;
}

static void refuses_broken_files(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(bad_files); i++) {
        const struct bad *bad = &bad_files[i];
        struct safetensors *file;
        size_t size;
        uint8_t *data = build(bad->header, bad->length, bad->data, &size);
        assert_failed(safetensors_parse(data, size, "broken", &file), bad->error, bad->message);
        assert_null(file);
        free(data);
    }
}

/* A good file that is cut off anywhere is refused. */
static void refuses_truncated_files(void **state)
{
    (void)state;
    const char *good = "{\"a\":" T("F32", "[1]", 0, 4) ",\"b\":" T("U8", "[3]", 4, 7) "}";
    struct safetensors *file;
    size_t size;
    uint8_t *data = build(good, 0, 7, &size);
    assert_int_equal(safetensors_parse(data, size, "whole", &file), 0);
    assert_int_equal(file->count, 2);
    safetensors_close(&file);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *copy = malloc(cut + 1);
        memcpy(copy, data, cut);
        copy = realloc(copy, cut ? cut : 1);
        assert_failed(safetensors_parse(copy, cut, "cut", &file), VKCLIP_EFORMAT, "cut: ");
        free(copy);
    }
    free(data);
}

static void refuses_deep_and_long_headers(void **state)
{
    (void)state;
    enum { DEPTH = 100000 };
    struct safetensors *file;
    char *text = malloc(2 * DEPTH);
    size_t size;
    memset(text, '[', 2 * DEPTH);
    memcpy(text, "{\"a\":", 5);
    text[2 * DEPTH - 1] = 0;
    uint8_t *data = build(text, 0, 0, &size);
    assert_failed(safetensors_parse(data, size, "deep", &file), VKCLIP_EFORMAT,
                  "maximum parsing depth");
    free(data);
    snprintf(text, 2 * DEPTH, "{\"%0600d\":" T("U8", "[0]", 0, 0) "}", 1);
    data = build(text, 100000001, 101 << 20, &size);
    assert_failed(safetensors_parse(data, size, "large", &file), VKCLIP_EFORMAT,
                  "header of 2 to 100000000 bytes");
    free(data);
    data = build(text, 0, 0, &size);
    assert_failed(safetensors_parse(data, size, "long", &file), VKCLIP_EFORMAT, "found one of 600");
    free(data);
    free(text);
}

/* Only strings may be long, because other values take many times their bytes in memory. */
static void accepts_long_strings_alone(void **state)
{
    (void)state;
    enum { LENGTH = (8 << 20) + 100 };
    static const char begin[] = "{\"__metadata__\":{\"a\":\"\\\"", end[] = "\"}}";
    struct safetensors *file;
    char *text = malloc(LENGTH + 1);
    size_t size;
    for (unsigned spaces = 0; spaces < 2; spaces++) {
        memset(text, spaces ? ' ' : 'x', LENGTH);
        memcpy(text, spaces ? "{" : begin, spaces ? 1 : strlen(begin));
        strcpy(text + LENGTH - strlen(end), spaces ? "  }" : end);
        uint8_t *data = build(text, 0, 0, &size);
        if (spaces)
            assert_failed(safetensors_parse(data, size, "large", &file), VKCLIP_EFORMAT,
                          "at most 8388608 bytes of a safetensors header outside of strings");
        else
            assert_int_equal(safetensors_parse(data, size, "long", &file), 0);
        safetensors_close(&file);
        free(data);
    }
    free(text);
}

static void refuses_to_write_long_headers(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = scratch_path(folder, "a"), *value = malloc(100000001);
    const char *const metadata[] = {"names", value, NULL};
    memset(value, 'x', 100000000);
    value[100000000] = 0;
    assert_failed(safetensors_write(path, NULL, 0, metadata), VKCLIP_EUNSUPPORTED,
                  "a: not written, its header would have 100000029 bytes");
    value[100000000 - 29] = 0;
    assert_int_equal(safetensors_write(path, NULL, 0, metadata), 0);
    free(value);
    free(path);
    scratch_remove(folder);
}

/* save_model of Python's library keeps one of the tensors that share memory. */
static void finds_shared_tensors(void **state)
{
    (void)state;
    static const char header[] =
        "{\"__metadata__\":{\"b\":\"m\",\"z\":\"b\",\"m\":\"m\",\"format\":\"pt\"},\"m\":" T(
            "F32", "[1]", 0, 4) "}";
    struct safetensors *file;
    size_t size;
    uint8_t *data = build(header, 0, 4, &size);
    assert_int_equal(safetensors_parse(data, size, "shared", &file), 0);
    assert_int_equal(file->count, 2);
    assert_ptr_equal(safetensors_find(file, "b")->data, safetensors_find(file, "m")->data);
    safetensors_close(&file);
    free(data);
}

static void accepts_what_the_format_allows(void **state)
{
    (void)state;
    static const char *const good[] = {
        "{}",
        "{}       ",
        "{\"__metadata__\":{\"format\":\"pt\"},\"a\":" T("F32", "[]", 0, 4) "}",
        "{\"__metadata__\":null,\"a\":" T("F32", "[]", 0, 4) "}",
        "{\"a\":" T("F32", "[0,7]", 0, 0) ",\"b\":" T("F32", "[1]", 0, 4) "}",
        "{\"b\":" T("F32", "[0]", 4, 4) ",\"a\":" T("BOOL", "[2,2]", 0, 4) "}",
        "{\"z\":" T("U8", "[1]", 0, 1) ",\"a\":" T("F16", "[1]", 1, 3) ",\"m\":" T("I8", "[1]", 3,
                                                                                   4) "}",
        "{\"a\":{\"dtype\":\"I32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":[{}]}}",
    };
    for (size_t i = 0; i < ARRAY_COUNT(good); i++) {
        struct safetensors *file;
        size_t size;
        uint8_t *data = build(good[i], 0, i < 2 ? 0 : 4, &size);
        assert_int_equal(safetensors_parse(data, size, good[i], &file), 0);
        for (size_t j = 0; j < file->count; j++) {
            assert_ptr_equal(safetensors_find(file, file->tensors[j].name), &file->tensors[j]);
            assert_true(!j || strcmp(file->tensors[j - 1].name, file->tensors[j].name) < 0);
        }
        assert_null(safetensors_find(file, "none"));
        safetensors_close(&file);
        assert_null(file);
        safetensors_close(&file);
        free(data);
    }
}

static void refuses_other_files(void **state)
{
    (void)state;
    struct safetensors *file;
    char *folder = scratch_folder();
    char *path = scratch_path(folder, "x.safetensors");
    assert_failed(safetensors_open(path, &file), VKCLIP_EIO, "x.safetensors: No such file");
    assert_failed(safetensors_open(folder, &file), VKCLIP_EIO, "not a regular file");
    scratch_text(folder, "x.safetensors", "");
    assert_failed(safetensors_open(path, &file), VKCLIP_EFORMAT, "found a file of 0");
    scratch_text(folder, "x.safetensors", "version https://git-lfs.github.com/spec/v1");
    assert_failed(safetensors_open(path, &file), VKCLIP_EFORMAT, "not safetensors");
#ifndef _WIN32
    remove(path);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_failed(safetensors_open(path, &file), VKCLIP_EIO, "not a regular file");
#endif
    assert_null(file);
    free(path);
    scratch_remove(folder);
}

static void writes_what_it_reads(void **state)
{
    (void)state;
    static const float f32[6] = {0, -1.5f, INFINITY, 1e-40f, 3, 4};
    static const uint8_t u8[3] = {1, 2, 255};
    static const double f64[1] = {-0.1};
    static const int64_t i64[2] = {-1, INT64_MIN};
    const struct tensor_view tensors[] = {
        {"z.weight", DTYPE_F32, 2, {2, 3}, f32, sizeof(f32)},
        {"bytes", DTYPE_U8, 1, {3}, u8, sizeof(u8)},
        /* It begins at an odd byte. */
        {"scalar \"q\" \xc3\xa9", DTYPE_F64, 0, {0}, f64, sizeof(f64)},
        {"none", DTYPE_F16, 3, {4, 0, 2}, NULL, 0},
        {"ids", DTYPE_I64, 1, {2}, i64, sizeof(i64)},
    };
    const char *const metadata[] = {"format", "pt", "note", "a\nb", NULL};
    char *folder = scratch_folder();
    char *path = scratch_path(folder, "a.safetensors");
    for (int with_metadata = 0; with_metadata < 2; with_metadata++) {
        struct safetensors *file;
        assert_int_equal(
            safetensors_write(path, tensors, ARRAY_COUNT(tensors), with_metadata ? metadata : NULL),
            0);
        assert_int_equal(safetensors_open(path, &file), 0);
        assert_int_equal(file->count, ARRAY_COUNT(tensors));
        uint64_t offset = 0;
        for (size_t i = 0; i < ARRAY_COUNT(tensors); i++) {
            const struct tensor_view *view = safetensors_find(file, tensors[i].name);
            assert_non_null(view);
            assert_int_equal(view->dtype, tensors[i].dtype);
            assert_int_equal(view->rank, tensors[i].rank);
            assert_memory_equal(view->shape, tensors[i].shape, sizeof(view->shape));
            assert_int_equal(view->size, tensors[i].size);
            if (view->size)
                assert_memory_equal(view->data, tensors[i].data, view->size);
            const uint8_t *first = safetensors_find(file, tensors[0].name)->data;
            assert_int_equal((const uint8_t *)view->data - first, offset);
            assert_int_equal((first - file->map.data) % 8, 0);
            offset += view->size;
        }
        assert_true(tensor_view_value(safetensors_find(file, "scalar \"q\" \xc3\xa9"), 0) == -0.1f);
        assert_true(tensor_view_value(safetensors_find(file, "z.weight"), 3) == 1e-40f);
        safetensors_close(&file);
    }
    assert_int_equal(safetensors_write(path, NULL, 0, NULL), 0);
    char **names;
    size_t count;
    assert_int_equal(folder_list(folder, &names, &count), 0);
    assert_int_equal(count, 1); /* No temporary file is left beside it. */
    folder_free_names(&names, count);
    free(path);
    scratch_remove(folder);
}

static int write_too_little(void *user, const struct tensor_view *tensor,
                            struct file_output *output)
{
    (void)user;
    return file_output_write(output, tensor->data, (size_t)tensor->size / 2);
}

static void refuses_to_write_nonsense(void **state)
{
    (void)state;
    static const float f32[4] = {0};
    const char *const bad_metadata[] = {"key", "\xff", NULL};
    const struct tensor_view good = {"a", DTYPE_F32, 1, {4}, f32, sizeof(f32)};
    const struct tensor_view twice[] = {good, good};
    struct tensor_view bad = good;
    char **names, *folder = scratch_folder();
    size_t count;
    char *path = scratch_path(folder, "a.safetensors");
    bad.size = 12;
    assert_failed(safetensors_write(path, &bad, 1, NULL), VKCLIP_EINVALID, "tensor 0 (a)");
    bad = good;
    bad.rank = 9;
    assert_failed(safetensors_write(path, &bad, 1, NULL), VKCLIP_EINVALID, "tensor 0 (a)");
    bad = good;
    bad.name = "\xff";
    assert_failed(safetensors_write(path, &bad, 1, NULL), VKCLIP_EINVALID, "UTF-8");
    bad.name = NULL;
    assert_failed(safetensors_write(path, &bad, 1, NULL), VKCLIP_EINVALID, "no name");
    assert_failed(safetensors_write(path, twice, 2, NULL), VKCLIP_EINVALID, "tensor 1 (a)");
    assert_failed(safetensors_write(path, &good, 1, bad_metadata), VKCLIP_EINVALID, "metadata");
    assert_failed(safetensors_write_streamed(path, &good, 1, NULL, write_too_little, NULL),
                  VKCLIP_EINVALID, "tensor a: the number of bytes written is not");
    assert_int_equal(folder_list(folder, &names, &count), 0);
    assert_int_equal(count, 0); /* The unfinished file is removed. */
    folder_free_names(&names, count);
    free(path);
    path = scratch_path(folder, "none/a.safetensors");
    assert_failed(safetensors_write(path, &good, 1, NULL), VKCLIP_EIO, "none/a.safetensors");
    free(path);
    scratch_remove(folder);
}

static void reads_reference_files(void **state)
{
    (void)state;
    char *path = golden_path("models/hf-vit/model.safetensors");
    struct safetensors *file;
    assert_non_null(path);
    assert_int_equal(safetensors_open(path, &file), 0);
    assert_int_equal(file->count, 78);
    const struct tensor_view *scale = safetensors_find(file, "logit_scale");
    assert_int_equal(scale->rank, 0);
    assert_float_equal(exp(tensor_view_value(scale, 0)), 26.799, 1e-3);
    safetensors_close(&file);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_broken_files),
        cmocka_unit_test(refuses_truncated_files),
        cmocka_unit_test(refuses_deep_and_long_headers),
        cmocka_unit_test(accepts_long_strings_alone),
        cmocka_unit_test(refuses_to_write_long_headers),
        cmocka_unit_test(accepts_what_the_format_allows),
        cmocka_unit_test(finds_shared_tensors),
        cmocka_unit_test(refuses_other_files),
        cmocka_unit_test(writes_what_it_reads),
        cmocka_unit_test(refuses_to_write_nonsense),
        cmocka_unit_test(reads_reference_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
