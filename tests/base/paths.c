/* SPDX-License-Identifier: MIT
 *
 * Paths with any characters, and longer than Windows takes by itself, lead everywhere to the same
 * files: in reading, mapping, writing, renaming, listing, locking and removing.
 */
#include "base/descriptor.h"
#include "base/environment.h"
#include "base/file_lock.h"
#include "base/memory.h"
#include "support/scratch.h"

/* Makes three folders of this name below each other. */
static char *make_folders(const char *folder, const char *name)
{
    char *path = string_format("%s/%s/%s/%s", folder, name, name, name);
    assert_non_null(path);
    assert_true(folder_make_all(path, 0777));
    assert_true(folder_exists(path));
    return path;
}

static void assert_content(const char *path, const char *expected)
{
    struct file_map map;
    char *data, start[4];
    size_t size = sizeof(start);
    assert_int_equal(file_read(path, 1000, &data, &size), 0);
    assert_string_equal(data, expected);
    memory_free(data);
    assert_int_equal(file_map_open(path, &map), 0);
    assert_int_equal(map.size, strlen(expected));
    assert_memory_equal(map.data, expected, map.size);
    file_map_close(&map);
    const struct file_source source = file_source_path(path);
    size = sizeof(start);
    assert_true(file_source_begin(&source, start, &size));
    assert_memory_equal(start, expected, size);
}

static void use_file(const char *folder, const char *name)
{
    char *path = scratch_path(folder, name), *other = scratch_path(folder, "other.txt");
    char *resolved, *twice, **names;
    struct file_status status;
    struct file_lock lock, second;
    size_t count;
    scratch_text(folder, name, "one");
    assert_content(path, "one");
    scratch_text(folder, name, "two");
    assert_content(path, "two");
    assert_true(file_exists(path));
    assert_true(file_status(path, &status));
    assert_int_equal(status.kind, FILE_KIND_FILE);
    assert_int_equal(status.size, 3);
    assert_true(status.inode != 0);
    assert_int_equal(folder_list(folder, &names, &count), 0);
    assert_int_equal(count, 1);
    assert_string_equal(names[0], name);
    folder_free_names(&names, count);

    /* What is resolved leads to the same file, and has / between the names. */
    resolved = file_resolve(path);
    assert_non_null(resolved);
    assert_true(file_is_absolute(resolved));
    assert_null(strchr(resolved, '\\'));
    assert_true(file_is_same(path, resolved));
    twice = file_resolve(resolved);
    assert_string_equal(twice, resolved);
    memory_free(twice);
    memory_free(resolved);

    scratch_text(folder, "other.txt", "three");
    assert_false(file_is_same(path, other));
    assert_int_equal(file_rename(other, path), 0);
    assert_false(file_exists(other));
    assert_content(path, "three");
    assert_int_equal(file_lock(path, &lock), 0);
    assert_failed(file_lock(path, &second), VKCLIP_EIO, "another process is writing it");
    file_unlock(&lock);

    FILE *stream = file_stream(path, "r+b");
    assert_non_null(stream);
    assert_true(file_truncate(stream, 2));
    assert_int_equal(fputs("umb", stream) < 0, 0);
    assert_int_equal(file_place(stream), 5);
    assert_true(file_sync(stream));
    assert_int_equal(fclose(stream), 0);
    assert_content(path, "thumb");

    assert_true(file_remove(path));
    assert_false(file_exists(path));
    assert_false(file_remove(path));
    assert_null(file_resolve(path));
    memory_free(path);
    memory_free(other);
}

static void uses_any_path(void **state)
{
    (void)state;
    static const char *const names[] = {"B\u00fccher_\u5199\u771f", "\U0001f355 with space", "a"};
    char longer[101];
    memset(longer, 'x', 100);
    longer[100] = 0;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char *folder = scratch_folder();
        char *name = string_format("%s%s", names[i], longer);
        char *inside = make_folders(folder, names[i]), *deep = make_folders(folder, name);
        assert_true(strlen(deep) > 300);
        use_file(inside, names[i]);
        use_file(deep, names[i]);
        /* A folder replaces another one with what is in it. */
        char *target = string_format("%s/target", deep), *source = string_format("%s/new", deep);
        assert_int_equal(folder_make(target), 0);
        assert_int_equal(folder_make(source), 0);
        scratch_text(target, "old.txt", "old");
        scratch_text(source, "new.txt", "new");
        assert_int_equal(folder_replace(source, target), 0);
        char *file = scratch_path(target, "new.txt");
        assert_content(file, "new");
        char *top = string_format("%s/%s", folder, name);
        folder_remove(top);
        assert_false(folder_exists(top));
        memory_free(top);
        memory_free(file);
        memory_free(source);
        memory_free(target);
        memory_free(deep);
        memory_free(inside);
        memory_free(name);
        scratch_remove(folder);
    }
}

#ifndef _WIN32 /* Windows 10 can do that, but wine cannot. */
/* A reader keeps what it has opened when the file gets a new content. */
static void replaces_open_files(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = scratch_path(folder, "file"), bytes[4] = "";
    scratch_text(folder, "file", "old");
    const int file = descriptor_open(path, false);
    assert_true(file >= 0);
    scratch_text(folder, "file", "new");
    assert_int_equal(descriptor_read(file, 0, bytes, 3), 3);
    assert_string_equal(bytes, "old");
    descriptor_close(file);
    assert_content(path, "new");
    memory_free(path);
    scratch_remove(folder);
}

#endif

/* What is left of a stream can be read more than once. */
static void keeps_streams(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = scratch_path(folder, "file");
    scratch_text(folder, "file", "a stream");
    FILE *stream = file_stream(path, "rb");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, 2, SEEK_SET), 0);
    char *kept = file_keep_stream(stream);
    fclose(stream);
    assert_non_null(kept);
    assert_content(kept, "stream");
    assert_content(kept, "stream");
    memory_free(kept);
    memory_free(path);
    scratch_remove(folder);
}

static void asks_for_variables(void **state)
{
    (void)state;
    environment_set("VKCLIP_TEST_PATH", "B\u00fccher_\u5199\u771f");
    char *value = environment_ask("VKCLIP_TEST_PATH");
    assert_string_equal(value, "B\u00fccher_\u5199\u771f");
    memory_free(value);
    environment_set("VKCLIP_TEST_PATH", NULL);
    assert_null(environment_ask("VKCLIP_TEST_PATH"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(uses_any_path),
#ifndef _WIN32
        cmocka_unit_test(replaces_open_files),
#endif
        cmocka_unit_test(keeps_streams),
        cmocka_unit_test(asks_for_variables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
