/* SPDX-License-Identifier: MIT
 *
 * The file of vectors: what was written is read again, and a file that is not whole counts as
 * absent.
 */
#define _DEFAULT_SOURCE
#include "search/vectors.h"
#include "support/scratch.h"
#include "support/vectors.h"

static const struct vectors_key expected_key = {
    .model = "0123456789abcdef0123456789abcdef", .dim = 9, .changes = 5, .rewrites = 2};

static char *write_file(const char *folder, size_t count)
{
    struct vectors vectors = make_vectors(count, 9);
    char *path = scratch_path(folder, "index.vectors");
    struct vectors_file *file;
    assert_int_equal(vectors_write(path, &expected_key, &file), 0);
    for (size_t first = 0; first < count; first += 40) {
        const size_t left = count - first;
        assert_int_equal(
            vectors_add(file, vectors.ids + first, vectors.rows + first * 9, left < 40 ? left : 40),
            0);
    }
    assert_int_equal(vectors_write_end(&file, NULL, 0), 0);
    free_vectors(&vectors);
    return path;
}

static bool is_right(const char *path, const char *model, size_t dim)
{
    struct vectors_key key = {.model = model, .dim = dim};
    struct vectors vectors;
    bool right = vectors_map(path, &key, NULL, &vectors);
    assert_true(right || (!vectors.rows && !vectors.count));
    vectors_close(&vectors);
    return right;
}

static void round_trip(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    const size_t counts[] = {0, 1, 100, 200001};
    for (size_t c = 0; c < ARRAY_COUNT(counts); c++) {
        char *path = write_file(folder, counts[c]);
        struct vectors expected = make_vectors(counts[c], 9), found;
        struct vectors_key key = {.model = expected_key.model, .dim = 9};
        assert_true(vectors_map(path, &key, NULL, &found));
        assert_int_equal(key.changes, 5);
        assert_int_equal(key.rewrites, 2);
        assert_int_equal(found.count, counts[c]);
        assert_memory_equal(found.ids, expected.ids, counts[c] * sizeof(*found.ids));
        assert_memory_equal(found.rows, expected.rows, counts[c] * 9 * sizeof(*found.rows));
        vectors_close(&found);
        free_vectors(&expected);
        free(path);
    }
    scratch_remove(folder);
}

/* A change of any byte, or a lost byte, is noticed. */
static void damaged(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = write_file(folder, 100), *data;
    size_t size;
    assert_int_equal(file_read(path, 1 << 20, &data, &size), 0);
    assert_true(is_right(path, expected_key.model, 9));
    for (size_t i = 0; i < size; i += i < 4096 ? 3 : 101) {
        if (i > 135 &&
            i < 4096) /* The rest of the header is filled up with zeros, which nothing reads. */
            i = 4096;
        data[i] ^= 4;
        scratch_write(folder, "index.vectors", data, size);
        if (is_right(path, expected_key.model, 9))
            fail_msg("a change of byte %zu is not noticed", i);
        data[i] ^= 4;
    }
    for (size_t left = 0; left < size; left += 397) {
        scratch_write(folder, "index.vectors", data, left);
        assert_false(is_right(path, expected_key.model, 9));
    }
    scratch_write(folder, "index.vectors", data, size);
    assert_true(is_right(path, expected_key.model, 9));
    free(data);
    free(path);
    scratch_remove(folder);
}

static void other_models(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = write_file(folder, 100);
    assert_false(is_right(path, "0123456789abcdef0123456789abcdee", 9));
    assert_false(is_right(path, "0123456789abcdef", 9));
    assert_false(is_right(path, expected_key.model, 8));
    assert_false(is_right("no such file", expected_key.model, 9));
    free(path);
    scratch_remove(folder);
}

/* A file that could not be completed leaves the old one in its place. */
static void given_up(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = write_file(folder, 3);
    struct vectors_file *file;
    assert_int_equal(vectors_write(path, &expected_key, &file), 0);
    assert_int_equal(vectors_write_end(&file, NULL, VKCLIP_EMEMORY), VKCLIP_EMEMORY);
    assert_true(is_right(path, expected_key.model, 9));
    free(path);
    path = scratch_path(folder, "absent/index.vectors");
    assert_failed(vectors_write(path, &expected_key, &file), VKCLIP_EIO, "cannot be written");
    free(path);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(round_trip), cmocka_unit_test(damaged),
                                       cmocka_unit_test(other_models), cmocka_unit_test(given_up)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
