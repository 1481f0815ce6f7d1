/* SPDX-License-Identifier: MIT
 *
 * Parquet files: a file gets its name only when it is complete, and text that readers would refuse
 * is refused. With an argument the program writes a table of every type to that path, which
 * parquet.py and parquet.mjs read back.
 */
#define _GNU_SOURCE
#include "format/parquet.h"
#include "base/array.h"
#include "support/scratch.h"

static const struct parquet_column columns[] = {
    {"text", PARQUET_TEXT},   {"bytes", PARQUET_BYTES}, {"int32", PARQUET_INT32},
    {"int64", PARQUET_INT64}, {"float", PARQUET_FLOAT}, {"double", PARQUET_DOUBLE},
    {"none", PARQUET_TEXT}};
enum { TEXT, BYTES, INT_32, INT_64, FLOAT, DOUBLE };

/* Row i has a value in column c unless (i + c) % 4 is 3. Texts of a kilobyte in 40,000 rows fill
 * three row groups. */
static int write_table(const char *path, int rows)
{
    char text[1200];
    struct parquet *parquet;
    int error = parquet_open(path, columns, ARRAY_COUNT(columns), &parquet);
    for (int i = 0; i < rows && !error; i++) {
        const uint8_t bytes[] = {0xff, 0, (uint8_t)i};
        const int length = snprintf(text, sizeof(text), "row %d: \xc3\xa9 %0*d", i, 1000, i);
        if ((i + TEXT) % 4 != 3)
            parquet_put_text(parquet, TEXT, text, (size_t)length);
        if ((i + BYTES) % 4 != 3)
            parquet_put_text(parquet, BYTES, (const char *)bytes, (size_t)(i % 4));
        if ((i + INT_32) % 4 != 3)
            parquet_put_integer(parquet, INT_32, -i);
        if ((i + INT_64) % 4 != 3)
            parquet_put_integer(parquet, INT_64, i * INT64_C(-10000000000));
        if ((i + FLOAT) % 4 != 3)
            parquet_put_number(parquet, FLOAT, i / 8.0);
        if ((i + DOUBLE) % 4 != 3)
            parquet_put_number(parquet, DOUBLE, i / 10.0);
        error = parquet_end_row(parquet);
    }
    return parquet_close(&parquet, error);
}

static size_t count_files(const char *folder)
{
    char **names;
    size_t count;
    assert_int_equal(folder_list(folder, &names, &count), 0);
    folder_free_names(&names, count);
    return count;
}

static void writes_whole_files(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = scratch_path(folder, "a.parquet"), *data;
    size_t size;
    assert_int_equal(write_table(path, 10), 0);
    assert_int_equal(file_read(path, 1 << 20, &data, &size), 0);
    assert_memory_equal(data, "PAR1", 4);
    assert_memory_equal(data + size - 4, "PAR1", 4);
    free(data);

    /* A table that is given up leaves the old file as it was. */
    struct parquet *parquet;
    struct file_stamp before = file_stamp(path);
    assert_int_equal(parquet_open(path, columns, ARRAY_COUNT(columns), &parquet), 0);
    parquet_put_text(parquet, TEXT, "a", 1);
    assert_int_equal(parquet_end_row(parquet), 0);
    assert_int_equal(parquet_close(&parquet, VKCLIP_EINVALID), VKCLIP_EINVALID);
    assert_null(parquet);
    assert_false(file_is_changed(path, &before));
    assert_int_equal(count_files(folder), 1);
    assert_int_equal(parquet_close(&parquet, VKCLIP_OK), VKCLIP_OK);
    free(path);
    scratch_remove(folder);
}

static void refuses(void **state)
{
    (void)state;
    static const char *const texts[] = {"a\xff", "\xc3", "\xed\xa0\x80"};
    char *folder = scratch_folder(), *path = scratch_path(folder, "a.parquet");
    struct parquet *parquet;
    for (size_t i = 0; i < ARRAY_COUNT(texts); i++) {
        assert_int_equal(parquet_open(path, columns, ARRAY_COUNT(columns), &parquet), 0);
        assert_int_equal(parquet_end_row(parquet), 0);
        parquet_put_text(parquet, BYTES, texts[i], strlen(texts[i]));
        parquet_put_text(parquet, TEXT, texts[i], strlen(texts[i]));
        assert_failed(parquet_end_row(parquet), VKCLIP_EINVALID,
                      "a.parquet: column text, row 1: expected UTF-8");
        assert_int_equal(parquet_close(&parquet, VKCLIP_OK), VKCLIP_EINVALID);
    }
    assert_int_equal(count_files(folder), 0);
    free(path);
    path = scratch_path(folder, "none/a.parquet");
    assert_failed(parquet_open(path, columns, ARRAY_COUNT(columns), &parquet), VKCLIP_EIO,
                  "none/a.parquet: cannot be written");
    assert_null(parquet);
    free(path);
    scratch_remove(folder);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_whole_files),
        cmocka_unit_test(refuses),
    };
    if (argc > 1)
        return write_table(argv[1], 40000) ? 1 : 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
