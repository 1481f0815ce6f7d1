/* SPDX-License-Identifier: MIT
 *
 * A store that is a file: which databases it opens, and what it says where it cannot read or write.
 */
#define _GNU_SOURCE
#include "search/current.h"
#include "search/sql_store.h"
#include "search/sqlite.h"
#include "support/open_store.h"

#include <sys/stat.h>
#include <sys/wait.h>

/* ---- What is opened -------------------------------------------------------------------------- */

static void make_database(const char *path, const char *statements)
{
    struct sqlite sqlite;
    assert_int_equal(sqlite_open(path, SQLITE_MODE_CREATE, &sqlite), 0);
    assert_int_equal(database_execute(&sqlite.database, statements), 0);
    sqlite_close(&sqlite);
}

static void other_files_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *statements, *text; /* makes the file: a database, or plain text */
        int error;
        const char *message;
    } cases[] = {
        {"CREATE TABLE images(id)", NULL, VKCLIP_EFORMAT,
         "expected an index of vkclip, found another program's database"},
        {"PRAGMA application_id = 7", NULL, VKCLIP_EFORMAT, "another program's database"},
        {"PRAGMA user_version = 1", NULL, VKCLIP_EFORMAT, "another program's database"},
        {"PRAGMA application_id = 1986749292; PRAGMA user_version = 2; CREATE TABLE a(b)", NULL,
         VKCLIP_EUNSUPPORTED, "an index of version 2, of a newer vkclip; this one knows version 1"},
        {NULL,
         "This is no database, and long enough to have no header of one.............."
         "................................................................................",
         VKCLIP_EFORMAT, "expected an SQLite database, found another kind of file"},
    };
    char *folder = scratch_folder();
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *path = scratch_path(folder, "other"), *before, *after;
        size_t size_before, size_after;
        struct store *store;
        if (cases[i].statements)
            make_database(path, cases[i].statements);
        else
            scratch_text(folder, "other", cases[i].text);
        assert_int_equal(file_read(path, SIZE_MAX, &before, &size_before), 0);
        for (int read_only = 0; read_only < 2; read_only++) {
            assert_failed(store_open(path, read_only, &store), cases[i].error, cases[i].message);
            assert_null(store);
        }
        assert_int_equal(file_read(path, SIZE_MAX, &after, &size_after), 0);
        assert_int_equal(size_before, size_after);
        assert_memory_equal(before, after, size_before);
        free(before);
        free(after);
        remove(path);
        free(path);
    }
    scratch_remove(folder);
}

static void absent_files_are_made_or_refused(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = scratch_path(folder, "a?b#c%d.db"),
         *far = scratch_path(folder, "none/index.db");
    struct store *store;
    assert_failed(store_open(path, true, &store), VKCLIP_EIO, "cannot be opened: No such file");
    scratch_text(folder, file_name(path), "");
    assert_failed(store_open(path, true, &store), VKCLIP_EFORMAT, "found an empty file");
    remove(path);
    assert_failed(store_open(far, false, &store), VKCLIP_EIO, "cannot be opened");
#ifndef VKCLIP_WITH_POSTGRESQL
    assert_failed(store_open("postgresql://host/name", false, &store), VKCLIP_EUNSUPPORTED,
                  "PostgreSQL");
#endif
    assert_int_equal(store_open(path, false, &store), 0);
    store_close(&store);
    assert_true(file_exists(path)); /* A URI's special characters are part of the name. */
    assert_int_equal(store_open(path, true, &store), 0);
    assert_failed(store->write->put_root(store, "/"), VKCLIP_EIO, "read-only");
    store_close(&store);
    char *slashes = string_format("/%s", path);
    assert_int_equal(store_open(slashes, true, &store), 0);
    store_close(&store);
    free(slashes);
    free(path);
    free(far);
    scratch_remove(folder);
}

/* Cuts and damages a database at several places: whatever is found in it later is an error of one
 * line, or nothing at all. */
static int ignore_picture(void *user, const struct store_picture *picture)
{
    *(size_t *)user += strlen(picture->path);
    return 0;
}

static void damaged_files_are_survived(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = scratch_path(folder, "index.db"), *data, name[64];
    struct store *store = open_store(folder);
    size_t size, refused = 0, seen = 0;
    assert_int_equal(store->write->begin(store), 0);
    const int64_t model = add_model(store, "a", "A");
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof(name), "/pictures/%d.png", i);
        add_file(store, name, (uint8_t)i, model);
    }
    assert_int_equal(store->write->commit(store), 0);
    store_close(&store);
    assert_int_equal(file_read(path, SIZE_MAX, &data, &size), 0);
    for (size_t place = 0; place < size; place += size / 37) {
        char *copy = malloc(size);
        memcpy(copy, data, size);
        memset(copy + place, 0x5a, size - place < 100 ? size - place : 100);
        scratch_write(folder, "broken.db", copy, place % 2 ? size : place);
        free(copy);
        char *broken = scratch_path(folder, "broken.db");
        int error = store_open(broken, true, &store);
        if (!error)
            error = store->read->each_picture(store, ignore_picture, &seen);
        refused += error != 0;
        if (error)
            assert_null(strchr(vkclip_last_error(), '\n'));
        store_close(&store);
        free(broken);
    }
    assert_true(refused > 10);
    free(data);
    free(path);
    scratch_remove(folder);
}

/* ---- The file of vectors --------------------------------------------------------------------- */

/* Adds contents in one transaction, whose vectors begin with their numbers. */
static void add_vectors(const char *folder, const char *numbers)
{
    struct store *store = open_store(folder);
    assert_int_equal(store->write->begin(store), 0);
    const int64_t model = add_model(store, "aa", "A");
    for (; *numbers; numbers++) {
        const uint16_t values[DIM] = {(uint16_t)*numbers};
        const int64_t id = add_file(store, (const char[]){*numbers, 0}, (uint8_t)*numbers, model);
        assert_int_equal(store->write->put_vector(store, id, model, values, DIM), 0);
    }
    assert_int_equal(store->write->commit(store), 0);
    store_close(&store);
}

/* Brings the file of vectors up to date, and compares it with the numbers of all contents. */
static void assert_vectors(const char *folder, const char *numbers)
{
    struct workers *workers;
    struct current current = {.store = open_store(folder)};
    const struct vectors *vectors;
    char *path = scratch_path(folder, "index.db");
    assert_int_equal(workers_open(1, &workers), 0);
    current.path = current.files_path = path;
    current.workers = workers;
    assert_int_equal(current_vectors(&current, "aa", 1, DIM, &vectors), 0);
    assert_non_null(vectors->map.data);
    assert_int_equal(vectors->count, strlen(numbers));
    for (size_t i = 0; i < vectors->count; i++) {
        assert_int_equal(vectors->ids[i], i + 1);
        assert_int_equal(vectors->rows[i * DIM], numbers[i]);
    }
    current_close(&current);
    store_close(&current.store);
    workers_close(&workers);
    free(path);
}

/* The vectors file is newer than an index that was restored from a backup, or that a power cut has
 * taken back. What is added then has the ids of other contents in that file. */
static void restored_indexes_do_not_use_later_vectors(void **state)
{
    (void)state;
    static const struct {
        const char *lost, *added;
    } cases[] = {{"c", ""},   {"c", "d"},  {"cd", "dc"},   {"cde", "dce"},
                 {"c", "dc"}, {"cd", "e"}, {"cd", "edcf"}, {"c", "c"}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *folder = scratch_folder(), *path = scratch_path(folder, "index.db"), *backup, all[9];
        size_t size;
        add_vectors(folder, "ab");
        assert_vectors(folder, "ab");
        assert_int_equal(file_read(path, SIZE_MAX, &backup, &size), 0);
        add_vectors(folder, cases[i].lost);
        snprintf(all, sizeof(all), "ab%s", cases[i].lost);
        assert_vectors(folder, all);
        scratch_write(folder, "index.db", backup, size);
        if (*cases[i].added)
            add_vectors(folder, cases[i].added);
        snprintf(all, sizeof(all), "ab%s", cases[i].added);
        assert_vectors(folder, all);
        free(backup);
        free(path);
        scratch_remove(folder);
    }
}

/* ---- What cannot be written ------------------------------------------------------------------ */

/* SQLite's limit of pages has the same result code as a full disk. */
static void a_full_disk_loses_one_batch(void **state)
{
    (void)state;
    char *folder = scratch_folder(), name[400];
    struct store *store = open_store(folder);
    struct vkclip_index_info info;
    int error = 0, batches = 0;
    assert_int_equal(database_execute(sql_database(store), "PRAGMA max_page_count = 40"), 0);
    while (!error) {
        assert_int_equal(store->write->begin(store), 0);
        for (int i = 0; i < 20 && !error; i++) {
            const struct store_stamp stamp = {.size = 1};
            int64_t before;
            snprintf(name, sizeof(name), "/%300d", batches * 20 + i);
            error = store->write->put_file(store, name, &stamp, 0, 0, NULL, &before);
        }
        if (!error)
            error = store->write->commit(store);
        batches += !error;
    }
    assert_failed(error, VKCLIP_EIO, "the disk is full; all earlier batches are in the index");
    store->write->rollback(store);
    assert_true(batches > 1);
    store_close(&store);
    store = open_store(folder);
    assert_int_equal(store->read->count(store, &info), 0);
    assert_int_equal(info.files, 20 * batches);
    store_close(&store);
    scratch_remove(folder);
}

/* Runs as another user, whom the file's permissions bind even if this one is root. */
static int write_as_nobody(const char *path)
{
    struct store *store = NULL;
    if (!getuid() && (setgid(65534) || setuid(65534)))
        return 3;
    int error = store_open(path, false, &store);
    if (!error)
        error = store->write->begin(store);
    if (!error)
        error = store->write->put_root(store, "/");
    const bool good = error == VKCLIP_EIO && strstr(vkclip_last_error(), "read-only");
    store_close(&store);
    error = store_open(path, true, &store); /* Reading needs no permission to write. */
    store_close(&store);
    return good && !error ? 0 : 4;
}

static void read_only_files_are_read(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *path = scratch_path(folder, "index.db");
    struct store *store = open_store(folder);
    int status;
    store_close(&store);
    assert_int_equal(chmod(path, 0444), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    const pid_t child = fork();
    if (!child)
        _exit(write_as_nobody(path));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(chmod(folder, 0755), 0);
    free(path);
    scratch_remove(folder);
}

/* Copies an index with what another process has written last, which is in its log. */
static void copy_with_log(const char *folder, const char *copy)
{
    char *path = scratch_path(folder, "index.db"), *log = scratch_path(folder, "index.db-wal"),
         *data;
    struct store *store = open_store(folder);
    size_t size;
    assert_int_equal(store->write->begin(store), 0);
    assert_int_equal(store->write->put_root(store, "/"), 0);
    assert_int_equal(store->write->commit(store), 0);
    assert_int_equal(file_read(path, SIZE_MAX, &data, &size), 0);
    scratch_write(copy, "index.db", data, size);
    free(data);
    assert_int_equal(file_read(log, SIZE_MAX, &data, &size), 0);
    assert_true(size > 0);
    scratch_write(copy, "index.db-wal", data, size);
    free(data);
    store_close(&store);
    free(path);
    free(log);
}

/* Reads the index as a user who may not write to its folder. */
static int read_as_nobody(const char *path, const char *expected)
{
    struct store *store = NULL;
    if (!getuid() && (setgid(65534) || setuid(65534)))
        return 3;
    const int error = store_open(path, true, &store);
    store_close(&store);
    if (!expected)
        return error ? 4 : 0;
    return error == VKCLIP_EIO && strstr(vkclip_last_error(), expected) ? 0 : 5;
}

static void logs_are_not_passed_over(void **state)
{
    (void)state;
    char *folder = scratch_folder(), *copy = scratch_path(folder, "copy"),
         *path = scratch_path(copy, "index.db"), *log = scratch_path(copy, "index.db-wal");
    assert_int_equal(chmod(folder, 0755), 0);
    assert_int_equal(folder_make(copy), 0);
    copy_with_log(folder, copy);
    for (int empty = 0; empty < 2; empty++) {
        int status;
        if (empty)
            assert_int_equal(truncate(log, 0), 0);
        assert_int_equal(chmod(copy, 0555), 0);
        const pid_t child = fork();
        if (!child)
            _exit(read_as_nobody(path, empty ? NULL : "its last changes are in a -wal"));
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_int_equal(status, 0);
        assert_int_equal(chmod(copy, 0755), 0);
    }
    free(path);
    free(log);
    free(copy);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(absent_files_are_made_or_refused),
        cmocka_unit_test(damaged_files_are_survived),
        cmocka_unit_test(restored_indexes_do_not_use_later_vectors),
        cmocka_unit_test(a_full_disk_loses_one_batch),
        cmocka_unit_test(read_only_files_are_read),
        cmocka_unit_test(logs_are_not_passed_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
