/* SPDX-License-Identifier: MIT
 *
 * Files and folders: paths give the right names, a file that is written keeps its old content until
 * the new content is complete, a cache file that has the content already is not written, folders
 * are replaced as a whole, and folder_make_new accepts only new and empty folders.
 */
#define _GNU_SOURCE
#include "base/cache.h"
#include "base/file.h"
#include "base/file_lock.h"
#include "base/folder.h"
#include "support/scratch.h"

#ifndef _WIN32
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(file_name("a/b.c"), "b.c");
    assert_string_equal(file_name("b.c"), "b.c");
    assert_string_equal(file_name("a/"), "");
    assert_true(file_is_absolute("/a"));
    assert_false(file_is_absolute("a/b"));
    assert_false(file_is_absolute(""));
    static const char *const folders[][2] = {
        {"a/b.c", "a"},
        {"a/b/", "a/b"},
        {"b.c", "."},
        {"/b.c", "/"},
        {"//b.c", "/"},
        {"a//b", "a"},
#ifdef _WIN32
        {"a\\b.c", "a"},
        {"c:\\b.c", "c:\\"},
        {"c:/a\\b.c", "c:/a"},
        {"c:b.c", "c:."},
        {"\\\\s\\d\\b", "\\\\s\\d"},
#endif
    };
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++) {
        char *folder = file_folder(folders[i][0]);
        assert_string_equal(folder, folders[i][1]);
        free(folder);
    }
#ifdef _WIN32
    assert_string_equal(file_name("a/b\\c"), "c");
    assert_string_equal(file_name("c:a"), "a");
    assert_true(file_is_absolute("\\a"));
    assert_true(file_is_absolute("c:a"));
    assert_true(file_is_absolute("\\\\server\\folder"));
    assert_false(file_is_absolute("a\\b"));
#else
    assert_string_equal(file_name("a/b\\c"), "b\\c"); /* A backslash is part of a name here. */
    assert_false(file_is_absolute("\\a"));
    assert_false(file_is_absolute("c:a"));
#endif
}

static void assert_content(const char *path, const char *expected)
{
    char *data;
    size_t size;
    assert_int_equal(file_read(path, 100, &data, &size), 0);
    assert_string_equal(data, expected);
    assert_int_equal(size, strlen(expected));
    free(data);
}

static void test_output(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = scratch_path(folder, "a.txt"), *data, **names;
    size_t size, count;
    struct file_output output;
    scratch_text(folder, "a.txt", "old");
    assert_int_equal(file_output_open(path, &output), 0);
    assert_int_equal(file_output_write(&output, "new", 3), 0);
    assert_content(path, "old");
    assert_int_equal(file_output_close(&output, VKCLIP_EFORMAT), VKCLIP_EFORMAT);
    assert_content(path, "old");
    assert_int_equal(folder_list(folder, &names, &count), 0);
    assert_int_equal(count, 1); /* The other file is removed. */
    folder_free_names(&names, count);

    assert_int_equal(file_output_open(path, &output), 0);
    file_output_write(&output, "ne", 2);
    file_output_write(&output, "w", 1);
    assert_int_equal(output.size, 3);
    assert_int_equal(file_output_close(&output, 0), 0);
    assert_content(path, "new");

    /* Of two that are written at once, the one that ends last stays. */
    struct file_output other;
    assert_int_equal(file_output_open(path, &output), 0);
    assert_int_equal(file_output_open(path, &other), 0);
    file_output_write(&other, "two", 3);
    file_output_write(&output, "one", 3);
    assert_int_equal(file_output_close(&output, 0), 0);
    assert_content(path, "one");
    assert_int_equal(file_output_close(&other, 0), 0);
    assert_content(path, "two");
    assert_failed(file_read(path, 2, &data, &size), VKCLIP_EFORMAT, "3 bytes, expected at most 2");
    assert_null(data);
    free(path);
    path = scratch_path(folder, "none/a.txt");
    assert_failed(file_output_open(path, &output), VKCLIP_EIO, "none/a.txt: cannot be written");
    file_output_write(&output, "x", 1);
    assert_int_equal(file_output_close(&output, 0), VKCLIP_EIO);
    free(path);
    scratch_remove(folder);
}

static void write_cache(const char *path, const char *text)
{
    struct cache_content content;
    cache_write(path, text, strlen(text));
    cache_read(path, &content);
    assert_int_equal(content.size, strlen(text));
    assert_memory_equal(content.data, text, content.size);
    cache_release(&content);
}

static void test_cache(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = scratch_path(folder, "cache");
    write_cache(path, "one");
    const struct file_stamp first = file_stamp(path);
    write_cache(path, "one");
    assert_int_equal(file_stamp(path).inode, first.inode);
    write_cache(path, "two");
    assert_true(file_stamp(path).inode != first.inode);
    scratch_text(folder, "cache", "damaged");
    write_cache(path, "two");
    free(path);
    scratch_remove(folder);
}

#ifndef _WIN32
/* A file that another program makes shorter is an error for what is read from it afterwards; what
 * was loaded stays. Without these functions the process would end by SIGBUS. */
static void test_shrinking(void **state)
{
    (void)state;
    static char bytes[64 << 10];
    char copy[16];
    struct file_map map;
    char *folder = scratch_folder();
    memset(bytes, 'x', sizeof(bytes));
    scratch_write(folder, "file", bytes, sizeof(bytes));
    char *path = scratch_path(folder, "file");
    assert_int_equal(file_map_hold(&(struct file_source){.name = path}, &map), 0);
    assert_int_equal(map.size, sizeof(bytes));
    assert_int_equal(file_map_load(&map, 5000, 9000), 0);
    assert_int_equal(truncate(path, 100), 0);
    assert_memory_equal(map.data + 5000, bytes, 9000);
    assert_int_equal(file_map_read(&map, 84, 16, copy), 0);
    assert_memory_equal(copy, bytes, 16);
    assert_failed(file_map_read(&map, 85, 16, copy), VKCLIP_EIO,
                  "file: became shorter while it was read: 1 bytes missing");
    assert_failed(file_map_load(&map, 40000, 10), VKCLIP_EIO, "became shorter");
    assert_memory_equal(map.data + 5000, bytes, 9000);
    file_map_close(&map);

    assert_int_equal(file_open(path, &map), 0);
    assert_int_equal(map.size, 100);
    assert_int_equal(map.stamp.size, 100);
    assert_null(map.data);
    assert_int_equal(truncate(path, 50), 0);
    assert_int_equal(file_map_read(&map, 34, 16, copy), 0);
    assert_failed(file_map_read(&map, 35, 16, copy), VKCLIP_EIO, "file: became shorter");
    file_map_close(&map);

    /* The files of this folder claim to be longer than they are. */
    const char *claims = "/sys/kernel/mm/transparent_hugepage/enabled";
    char *data;
    size_t size;
    if (file_exists(claims))
        assert_failed(file_read(claims, 1 << 20, &data, &size), VKCLIP_EIO, "became shorter");
    free(path);
    scratch_remove(folder);
}

static void fill(char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = (char)(i * 31 + i / 251);
}

/* A part of an open file is read at its place in the file, wherever pages begin, also when the file
 * becomes shorter, and without moving the descriptor. */
static void test_parts(void **state)
{
    (void)state;
    enum { SIZE = 64 << 10, PART = 5003, LENGTH = 40000 };
    static char bytes[SIZE];
    char *folder = scratch_folder(), *path = scratch_path(folder, "file"), copy[16];
    struct file_source source, kept;
    struct file_map map;
    fill(bytes, SIZE);
    scratch_write(folder, "file", bytes, SIZE);
    int file = open(path, O_RDWR | O_CLOEXEC);
    assert_true(file >= 0);
    assert_int_equal(file_source_descriptor(file, PART, 0, "part", &source), 0);
    assert_int_equal(source.size, SIZE - PART);
    assert_int_equal(file_source_descriptor(file, PART, LENGTH, "part", &source), 0);
    assert_int_equal(file_source_keep(&source, &kept), 0);
    const struct file_stamp before = file_source_stamp(&kept);
    close(file);
    assert_int_equal(remove(path), 0);

    size_t size = sizeof(copy);
    assert_true(file_source_begin(&kept, copy, &size));
    assert_int_equal(size, sizeof(copy));
    assert_memory_equal(copy, bytes + PART, size);
    assert_int_equal(file_map_hold(&kept, &map), 0);
    assert_int_equal(map.size, LENGTH);
    assert_memory_equal(map.data, bytes + PART, LENGTH);
    assert_int_equal(file_map_load(&map, 0, 100), 0);
    assert_int_equal(file_map_load(&map, 9000, 9000), 0);
    assert_int_equal(file_map_load(&map, LENGTH - 1, 1), 0);
    assert_memory_equal(map.data, bytes + PART, LENGTH);
    assert_int_equal(file_map_read(&map, LENGTH - 16, 16, copy), 0);
    assert_memory_equal(copy, bytes + PART + LENGTH - 16, 16);
    assert_int_equal(lseek(map.file, 0, SEEK_CUR), 0);

    assert_false(file_source_is_changed(&kept, &before));
    assert_int_equal(ftruncate(map.file, PART + 18000), 0);
    assert_true(file_source_is_changed(&kept, &before));
    assert_memory_equal(map.data + 9000, bytes + PART + 9000, 9000);
    assert_int_equal(file_map_read(&map, 18000 - 16, 16, copy), 0);
    assert_memory_equal(copy, bytes + PART + 18000 - 16, 16);
    assert_failed(file_map_read(&map, 18000 - 15, 16, copy), VKCLIP_EIO, "part: became shorter");
    assert_failed(file_map_load(&map, 30000, 10), VKCLIP_EIO, "part: became shorter");
    file_map_close(&map);
    file_source_release(&kept);
    free(path);
    scratch_remove(folder);
}

/* A lock keeps other processes out until it is released, or until its process is killed, whose lock
 * file stays. */
static void test_locks(void **state)
{
    (void)state;
    struct file_lock lock, other;
    int ready[2];
    char byte;
    char *folder = scratch_folder(), *path = scratch_path(folder, "a.npy");
    char *beside = scratch_path(folder, "a.npy.lock"), *none = scratch_path(folder, "none/a.npy");
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    if (!child)
        _exit(file_lock(path, &lock) || write(ready[1], "x", 1) != 1 || pause());
    close(ready[1]); /* If the child fails, there is nothing to wait for. */
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_failed(file_lock(path, &lock), VKCLIP_EIO, "a.npy: another process is writing it");
    file_unlock(&lock);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(file_exists(beside));
    assert_int_equal(file_lock(path, &lock), VKCLIP_OK);
    assert_failed(file_lock(path, &other), VKCLIP_EIO, "another process");
    file_unlock(&lock);
    assert_false(file_exists(beside));
    assert_failed(file_lock(none, &lock), VKCLIP_EIO, "none/a.npy: cannot be written");
    close(ready[0]);
    free(path);
    free(beside);
    free(none);
    scratch_remove(folder);
}
#endif

static void test_folders(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *one = scratch_path(folder, "one"),
         *two = scratch_path(folder, "two"), *deep = scratch_path(folder, "x/y/z"), **names;
    size_t count;
    assert_int_equal(folder_make_new(one), 0);
    assert_int_equal(folder_make_new(one), 0); /* An empty folder is accepted. */
    scratch_text(one, "a.txt", "one");
    assert_failed(folder_make_new(one), VKCLIP_EINVALID, "expected a new or empty folder");
    assert_failed(folder_make(one), VKCLIP_EIO, "one");
    assert_int_equal(folder_make(two), 0);
    scratch_text(two, "b.txt", "two");

    assert_int_equal(folder_replace(one, two), 0);
    assert_false(folder_exists(one));
    assert_int_equal(folder_list(two, &names, &count), 0);
    assert_int_equal(count, 1);
    assert_string_equal(names[0], "a.txt");
    folder_free_names(&names, count);
    assert_failed(folder_replace(one, two), VKCLIP_EIO, "cannot be renamed");
    assert_true(folder_exists(two)); /* The older folder stays. */
    assert_failed(folder_list(one, &names, &count), VKCLIP_EIO, "one");

    assert_true(folder_make_all(deep, 0700));
    assert_true(folder_exists(deep));
    /* What is in folders goes too, but not what a link leads to. */
    char *inside = scratch_path(two, "inside"), *link = scratch_path(inside, "link");
    char *kept = scratch_path(folder, "x/y/z/kept.txt");
    assert_int_equal(folder_make(inside), 0);
    scratch_text(inside, "c.txt", "three");
    scratch_text(deep, "kept.txt", "four");
#ifndef _WIN32
    assert_int_equal(symlink(deep, link), 0);
#endif
    folder_remove(two);
    assert_false(folder_exists(two));
    assert_true(file_exists(kept));
    free(inside);
    free(link);
    free(kept);
    free(one);
    free(two);
    free(deep);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),     cmocka_unit_test(test_output),
        cmocka_unit_test(test_cache),
#ifndef _WIN32
        cmocka_unit_test(test_shrinking), cmocka_unit_test(test_parts),
        cmocka_unit_test(test_locks),
#endif
        cmocka_unit_test(test_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
