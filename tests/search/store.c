/* SPDX-License-Identifier: MIT
 *
 * A store: whose databases it opens, what it keeps, and what it says where it cannot. The tests run
 * on SQLite, and where the environment names a PostgreSQL database by VKCLIP_TEST_POSTGRESQL, those
 * that are not about files run on that instead. Its schema vkclip is dropped before each.
 */
#define _GNU_SOURCE
#include "search/search.h"
#include "search/sql_store.h"
#include "search/sqlite.h"
#include "support/scratch.h"
#ifdef VKCLIP_WITH_POSTGRESQL
#include "search/postgres.h"
#endif

#include <math.h>
#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { DIM = 3 };
static const uint16_t row[DIM] = {0x3c00, 0x0001, 0xfbff};

static const char *server; /* the database; NULL: stores are files */

static struct store *open_store(const char *folder)
{
    struct store *store;
    char *path = server ? string_format("%s", server) : scratch_path(folder, "index.db");
    if (store_open(path, false, &store))
        fail_msg("%s", vkclip_last_error());
    free(path);
    return store;
}

static int empty_database(void **state)
{
    (void)state;
#ifdef VKCLIP_WITH_POSTGRESQL
    struct postgres postgres;
    if (!server)
        return 0;
    assert_int_equal(postgres_open(server, &postgres), 0);
    assert_int_equal(database_execute(&postgres.database, "DROP SCHEMA IF EXISTS vkclip CASCADE"),
                     0);
    postgres_close(&postgres);
#endif
    return 0;
}

/* Makes a store wait a tenth of a second for another one that writes. */
static void wait_shortly(struct store *store)
{
    const char *text = server ? "SET lock_timeout = '100ms'" : "PRAGMA busy_timeout = 100";
    assert_int_equal(database_execute(sql_database(store), text), 0);
}

/* Is a store_model_fn, which fails for the model with the number *user. */
static int refuse_model(void *user, const struct store_model *model)
{
    return model->id == *(const int64_t *)user;
}

static int64_t add_model(struct store *store, const char *identity, const char *name)
{
    struct vkclip_index_model model = {.embed_dim = DIM};
    int64_t id;
    snprintf(model.identity, sizeof(model.identity), "%s", identity);
    snprintf(model.name, sizeof(model.name), "%s", name);
    assert_int_equal(store->write->put_model(store, &model, &id), 0);
    return id;
}

/* Adds a file with a content that is known by a number, and returns the content's id. */
static int64_t add_file(struct store *store, const char *path, uint8_t number, int64_t model)
{
    const struct store_hash hash = {.bytes = {number}};
    const struct store_stamp stamp = {.size = number, .inode = 1, .modified = 2, .changed = 3};
    int64_t id, before;
    struct store_content content;
    assert_int_equal(store->write->put_content(store, &hash, &id), 0);
    assert_int_equal(store->read->find_content(store, &hash, model, &content), 0);
    assert_int_equal(content.id, id);
    assert_int_equal(content.error, 0);
    assert_int_equal(store->write->put_file(store, path, &stamp, id, 0, NULL, &before), 0);
    return id;
}

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

/* ---- What is kept ---------------------------------------------------------------------------- */

static void paths_are_found_below_folders(void **state)
{
    (void)state;
    static const char *const paths[] = {"/a",     "/a/b",        "/a/b/c", "/a-b",    "/a0",
                                        "/a/b.c", "/a/\xff\xfe", "/ab",    "/b/a/b/c"};
    static const struct {
        const char *folder;
        uint64_t count;
    } cases[] = {{"/a", 5}, {"/a/b", 2}, {"/a/", 4}, {"/", 9}, {"/b", 1}, {"/c", 0}, {"", 9}};
    char *folder = scratch_folder();
    struct store *store = open_store(folder);
    assert_int_equal(store->write->begin(store), 0);
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++)
        add_file(store, paths[i], (uint8_t)i, 1);
    assert_int_equal(store->write->commit(store), 0);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        uint64_t count;
        assert_int_equal(store->write->count_below(store, cases[i].folder, &count), 0);
        if (count != cases[i].count)
            fail_msg("%s: expected %d files, found %d", cases[i].folder, (int)cases[i].count,
                     (int)count);
    }
    store_close(&store);
    scratch_remove(folder);
}

struct seen_vectors {
    size_t count;
    int64_t last;
};

static int see_vector(void *user, int64_t id, const uint16_t *values)
{
    struct seen_vectors *seen = user;
    assert_true(id > seen->last);
    assert_memory_equal(values, row, sizeof(row));
    seen->last = id;
    seen->count++;
    return 0;
}

static struct store_generation read_generation(struct store *store, int64_t model)
{
    struct store_generation generation;
    assert_int_equal(store->read->read_generation(store, model, &generation), 0);
    return generation;
}

/* Compares with the generation that the model had before, which becomes that of now. */
static void assert_generation(struct store *store, int64_t model, struct store_generation *before,
                              bool changed, bool rewritten)
{
    const struct store_generation now = read_generation(store, model);
    assert_int_equal(now.changes != before->changes, changed);
    assert_int_equal(now.rewrites != before->rewrites, rewritten);
    *before = now;
}

static void vectors_of_models_stay_apart(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    struct store *store = open_store(folder);
    struct seen_vectors seen = {0};
    int64_t ids[4];
    assert_int_equal(store->write->begin(store), 0);
    const int64_t a = add_model(store, "aa", "A"), b = add_model(store, "bb", "B");
    struct store_generation of_a = read_generation(store, a), of_b = read_generation(store, b);
    int64_t checksum = of_a.changes;
    assert_true(a != b);
    assert_true(of_a.rewrites != of_b.rewrites);
    assert_int_equal(add_model(store, "aa", "another name"), a);
    for (int i = 0; i < 4; i++) {
        ids[i] = add_file(store, (const char *[]){"/1", "/2", "/3", "/4"}[i], (uint8_t)i, a);
        assert_int_equal(store->write->put_vector(store, ids[i], a, row, DIM), 0);
        checksum = store_add_vector(checksum, ids[i], row, DIM);
    }
    assert_int_equal(store->write->put_vector(store, ids[2], b, row, DIM), 0);
    assert_int_equal(store->write->commit(store), 0);
    assert_generation(store, a, &of_a, true, false);
    assert_generation(store, b, &of_b, true, false);
    assert_int_equal(of_a.changes, checksum);

    assert_int_equal(store->read->each_vector(store, a, 0, see_vector, &seen), 0);
    assert_int_equal(seen.count, 4);
    seen = (struct seen_vectors){0};
    assert_int_equal(store->read->each_vector(store, a, ids[1], see_vector, &seen), 0);
    assert_int_equal(seen.count, 2);
    seen = (struct seen_vectors){0};
    assert_int_equal(store->read->each_vector(store, b, 0, see_vector, &seen), 0);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.last, ids[2]);

    /* An id that is too large is not one of another model. */
    uint16_t values[DIM];
    bool found;
    assert_int_equal(store->read->read_vector(store, ids[2], b, values, DIM, &found), 0);
    assert_true(found);
    const int64_t distance = (b - a) << SQL_ID_BITS;
    assert_int_equal(store->read->read_vector(store, ids[2] + distance, a, values, DIM, &found), 0);
    assert_false(found);
    assert_int_equal(store->read->read_vector(store, ids[3] - distance, b, values, DIM, &found), 0);
    assert_false(found);

    /* A vector before the last one makes copies of the model's vectors useless. */
    assert_int_equal(store->write->begin(store), 0);
    assert_int_equal(store->write->put_vector(store, ids[0], b, row, DIM), 0);
    assert_int_equal(store->write->commit(store), 0);
    assert_generation(store, a, &of_a, false, false);
    assert_generation(store, b, &of_b, true, true);

    /* Another model of the same name is refused. */
    struct vkclip_index_model other = {.identity = "cc", .name = "A", .embed_dim = DIM};
    int64_t id;
    assert_int_equal(store->write->begin(store), 0);
    assert_failed(store->write->put_model(store, &other, &id), VKCLIP_EINVALID,
                  "vectors of other weights or another preparation of pictures under the name A");
    store->write->rollback(store);

    /* One that has no vectors, as after a pass that failed at once, is not listed, and makes room.
     */
    int64_t empty;
    struct vkclip_index_info info;
    assert_int_equal(store->write->begin(store), 0);
    empty = add_model(store, "ee", "E");
    assert_int_equal(add_model(store, "ff", "E"), empty);
    assert_int_equal(store->write->commit(store), 0);
    assert_int_equal(store->read->find_model(store, "ee", &id), 0);
    assert_int_equal(id, 0);
    assert_int_equal(store->read->each_model(store, refuse_model, &empty), 0);
    assert_int_equal(store->read->count(store, &info), 0);
    assert_int_equal(info.models, 2);
    store_close(&store);
    scratch_remove(folder);
}

static int check_facts(void *user, const struct store_picture *picture)
{
    ++*(size_t *)user;
    assert_string_equal(picture->path, "/\xff picture");
    assert_int_equal(picture->copies, 1);
    assert_string_equal(picture->facts.format, "JPEG");
    assert_null(picture->facts.camera);
    assert_int_equal(picture->facts.width, 40);
    assert_int_equal(picture->facts.height, 30);
    assert_int_equal(picture->facts.orientation, 6);
    assert_true(picture->facts.taken == INT64_MIN);
    assert_true(isnan(picture->facts.latitude));
    assert_true(picture->facts.longitude == -12.5);
    return 0;
}

static void facts_and_thumbnails_are_kept(void **state)
{
    (void)state;
    const struct store_facts facts = {.format = "JPEG",
                                      .width = 40,
                                      .height = 30,
                                      .orientation = 6,
                                      .taken = INT64_MIN,
                                      .latitude = (double)NAN,
                                      .longitude = -12.5};
    char *folder = scratch_folder();
    struct store *store = open_store(folder);
    void *thumbnail;
    size_t size, count = 0;
    assert_int_equal(store->write->begin(store), 0);
    const int64_t id = add_file(store, "/\xff picture", 1, 1);
    assert_int_equal(store->write->put_facts(store, id, &facts), 0);
    assert_int_equal(store->write->put_thumbnail(store, id, "\0jpeg", 5), 0);
    assert_int_equal(store->write->commit(store), 0);
    store_close(&store);
    store = open_store(folder);
    assert_int_equal(store->read->find_picture(store, id, check_facts, &count), 0);
    assert_int_equal(store->read->find_picture(store, id + 1, check_facts, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(store->read->read_thumbnail(store, id, &thumbnail, &size), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(thumbnail, "\0jpeg", 5);
    free(thumbnail);
    assert_int_equal(store->read->read_thumbnail(store, id + 1, &thumbnail, &size), 0);
    assert_null(thumbnail);
    store_close(&store);
    scratch_remove(folder);
}

static void pruning_removes_what_is_nowhere(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    struct store *store = open_store(folder);
    struct vkclip_index_info info;
    struct seen_vectors seen = {0};
    uint64_t removed, marked;
    assert_int_equal(store->write->begin(store), 0);
    const int64_t model = add_model(store, "aa", "A");
    struct store_generation generation = read_generation(store, model);
    static const char *const paths[] = {"/p/1", "/p/2", "/p/copy of 1", "/q/3"};
    static const uint8_t contents[] = {1, 2, 1, 3};
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        const int64_t id = add_file(store, paths[i], contents[i], model);
        if (i != 2)
            assert_int_equal(store->write->put_vector(store, id, model, row, DIM), 0);
        assert_int_equal(store->write->put_thumbnail(store, id, "x", 1), 0);
    }
    assert_int_equal(store->write->put_distinct_pair(store, 2, 1), 0);
    assert_int_equal(store->write->commit(store), 0);
    assert_generation(store, model, &generation, true, false);

    /* A pass sees one file of four, in one of two folders. */
    const struct store_stamp stamp = {.size = 1, .inode = 1, .modified = 2, .changed = 3};
    enum store_state found;
    assert_int_equal(store->write->start_pass(store), 0);
    assert_int_equal(store->write->see_file(store, "/p/copy of 1", &stamp, model, false, &found),
                     0);
    assert_int_equal(found, STORE_INDEXED);
    assert_int_equal(store->write->begin(store), 0);
    assert_int_equal(store->write->mark_missing(store, "/p", 77), 0);
    assert_int_equal(store->write->count_marked(store, 77, &marked), 0);
    assert_int_equal(marked, 2);
    assert_int_equal(store->write->commit(store), 0);
    assert_int_equal(store->read->count(store, &info), 0);
    assert_int_equal(info.files, 2);
    assert_int_equal(info.missing, 2);
    assert_int_equal(info.pictures, 2);

    assert_int_equal(store->write->begin(store), 0);
    assert_int_equal(store->write->prune(store, &removed), 0);
    assert_int_equal(store->write->commit(store), 0);
    assert_int_equal(removed, 2);
    assert_int_equal(store->read->each_vector(store, model, 0, see_vector, &seen), 0);
    assert_int_equal(seen.count, 2); /* Those of 1, of which a copy is there, and of 3. */
    assert_generation(store, model, &generation, true, true);
    store_close(&store);
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

/* ---- Several users of one file --------------------------------------------------------------- */

static void *commit_later(void *user)
{
    struct store *store = user;
    const struct timespec wait = {.tv_nsec = 300000000};
    nanosleep(&wait, NULL);
    assert_int_equal(store->write->commit(store), 0);
    return NULL;
}

static void writers_wait_and_readers_do_not(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    struct store *first = open_store(folder), *second = open_store(folder);
    struct vkclip_index_info info;
    pthread_t thread;
    assert_int_equal(first->write->begin(first), 0);
    add_file(first, "/1", 1, 1);
    assert_int_equal(second->read->count(second, &info), 0);
    assert_int_equal(info.files, 0);
    assert_int_equal(pthread_create(&thread, NULL, commit_later, first), 0);
    assert_int_equal(second->write->begin(second), 0); /* It waits for the other. */
    pthread_join(thread, NULL);
    add_file(second, "/2", 2, 1);
    assert_int_equal(second->write->commit(second), 0);
    assert_int_equal(first->read->count(first, &info), 0);
    assert_int_equal(info.files, 2);

    /* What a reader sees does not change between `begin` and `end`. */
    assert_int_equal(first->read->begin(first), 0);
    assert_int_equal(first->read->count(first, &info), 0);
    assert_int_equal(second->write->begin(second), 0);
    add_file(second, "/3", 3, 1);
    assert_int_equal(second->write->commit(second), 0);
    assert_int_equal(first->read->count(first, &info), 0);
    assert_int_equal(info.files, 2);
    assert_int_equal(first->read->end(first), 0);
    assert_int_equal(first->read->count(first, &info), 0);
    assert_int_equal(info.files, 3);
    store_close(&first);
    store_close(&second);
    scratch_remove(folder);
}

static const struct store_readers *readers; /* of the store that searches */
static struct store *writer;

/* Puts another picture in the place of all, whose id may be that of one before. */
static void replace_pictures(void)
{
    uint64_t removed;
    if (!writer)
        return;
    assert_int_equal(writer->write->begin(writer), 0);
    assert_int_equal(writer->write->remove_files(writer, "/", &removed), 0);
    assert_int_equal(writer->write->prune(writer, &removed), 0);
    add_file(writer, "/new", 2, 1);
    assert_int_equal(writer->write->commit(writer), 0);
    store_close(&writer);
}

static int find_picture_late(struct store *store, int64_t id, store_picture_fn *fn, void *user)
{
    replace_pictures();
    return readers->find_picture(store, id, fn, user);
}

static int each_picture_late(struct store *store, store_picture_fn *fn, void *user)
{
    replace_pictures();
    return readers->each_picture(store, fn, user);
}

static int see_old_hit(void *user, const struct vkclip_hit *hit)
{
    assert_string_equal(hit->path, "/old");
    ++*(size_t *)user;
    return 0;
}

static int see_old_picture(void *user, const struct vkclip_hit *hit, const float *embed)
{
    assert_true(embed[0] == 1);
    return see_old_hit(user, hit);
}

/* What another process writes between the vectors and the pictures of one search is not seen. */
static void hits_are_of_one_moment(void **state)
{
    (void)state;
    static const uint16_t values[DIM] = {0x3c00};
    static const float query[DIM] = {1};
    const struct vkclip_search_params params = {0};
    for (int lists = 0; lists < 2; lists++) {
        char *folder = scratch_folder();
        empty_database(NULL);
        struct store *store = open_store(folder);
        struct current current = {.store = store, .path = folder};
        const struct search search = {.current = &current,
                                      .identity = "aa",
                                      .model = 1,
                                      .dim = DIM,
                                      .params = &params,
                                      .query = query};
        size_t count = 0;
        assert_int_equal(workers_open(1, &current.workers), 0);
        assert_int_equal(store->write->begin(store), 0);
        assert_int_equal(add_model(store, "aa", "A"), 1);
        const int64_t id = add_file(store, "/old", 1, 1);
        assert_int_equal(store->write->put_vector(store, id, 1, values, DIM), 0);
        assert_int_equal(store->write->commit(store), 0);
        struct store_readers late = *store->read;
        late.find_picture = find_picture_late;
        late.each_picture = each_picture_late;
        readers = store->read;
        store->read = &late;
        writer = open_store(folder);
        assert_int_equal(lists ? search_list(&search, see_old_picture, &count)
                               : search_run(&search, see_old_hit, &count),
                         0);
        assert_null(writer);
        assert_int_equal(count, 1);
        current_close(&current);
        workers_close(&current.workers);
        store_close(&store);
        scratch_remove(folder);
    }
}

static void a_lock_is_an_error_in_the_end(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    struct store *first = open_store(folder), *second = open_store(folder);
    struct vkclip_index_info info;
    wait_shortly(second);
    assert_int_equal(first->write->begin(first), 0);
    add_file(first, "/1", 1, 1);
    assert_failed(second->write->begin(second), VKCLIP_EIO, "locked by another process");
    second->write->rollback(second);
    assert_int_equal(first->write->commit(first), 0);
    assert_int_equal(second->write->begin(second), 0);
    add_file(second, "/2", 2, 1);
    assert_int_equal(second->write->commit(second), 0);
    assert_int_equal(second->read->count(second, &info), 0);
    assert_int_equal(info.files, 2);
    store_close(&first);
    store_close(&second);
    scratch_remove(folder);
}

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
    assert_int_equal(mkdir(copy, 0755), 0);
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
        cmocka_unit_test_setup(paths_are_found_below_folders, empty_database),
        cmocka_unit_test_setup(vectors_of_models_stay_apart, empty_database),
        cmocka_unit_test_setup(facts_and_thumbnails_are_kept, empty_database),
        cmocka_unit_test_setup(pruning_removes_what_is_nowhere, empty_database),
        cmocka_unit_test_setup(writers_wait_and_readers_do_not, empty_database),
        cmocka_unit_test_setup(hits_are_of_one_moment, empty_database),
        cmocka_unit_test_setup(a_lock_is_an_error_in_the_end, empty_database),
    };
    const struct CMUnitTest tests_of_files[] = {
        cmocka_unit_test(other_files_are_refused),
        cmocka_unit_test(absent_files_are_made_or_refused),
        cmocka_unit_test(damaged_files_are_survived),
        cmocka_unit_test(restored_indexes_do_not_use_later_vectors),
        cmocka_unit_test(a_full_disk_loses_one_batch),
        cmocka_unit_test(read_only_files_are_read),
        cmocka_unit_test(logs_are_not_passed_over),
    };
    server = getenv("VKCLIP_TEST_POSTGRESQL");
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (!server)
        failed += cmocka_run_group_tests(tests_of_files, NULL, NULL);
    return failed;
}
