/* SPDX-License-Identifier: MIT
 *
 * A store: what it keeps, and what several users of one see. The tests run on SQLite, or where the
 * environment names a PostgreSQL database by VKCLIP_TEST_POSTGRESQL, on that. Its schema vkclip is
 * dropped before each.
 */
#define _GNU_SOURCE
#include "base/clock.h"
#include "base/thread.h"
#include "search/search.h"
#include "search/sql_store.h"
#include "support/open_store.h"
#ifdef VKCLIP_WITH_POSTGRESQL
#include "search/postgres.h"
#endif

#include <math.h>

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
    const struct image_facts facts = {.format = "JPEG",
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
    assert_int_equal(store->read->each_copy(store, id, check_facts, &count), 0);
    assert_int_equal(store->read->each_copy(store, id + 1, check_facts, &count), 0);
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

    /* A pass sees one file of four, in one of two folders. What another process adds meanwhile is
     * not missing. */
    const struct store_stamp stamp = {.size = 1, .inode = 1, .modified = 2, .changed = 3};
    struct store_seen found;
    assert_int_equal(store->write->start_pass(store), 0);
    struct store *other = open_store(folder);
    assert_int_equal(other->write->begin(other), 0);
    add_file(other, "/p/4", 4, model);
    assert_int_equal(other->write->commit(other), 0);
    store_close(&other);
    assert_int_equal(store->write->see_file(store, "/p/copy of 1", &stamp, model, false, &found),
                     0);
    assert_int_equal(found.state, STORE_INDEXED);
    assert_int_equal(store->write->begin(store), 0);
    assert_int_equal(store->write->mark_missing(store, "/p", 77), 0);
    assert_int_equal(store->write->count_marked(store, 77, &marked), 0);
    assert_int_equal(marked, 2);
    assert_int_equal(store->write->commit(store), 0);
    assert_int_equal(store->read->count(store, &info), 0);
    assert_int_equal(info.files, 3);
    assert_int_equal(info.missing, 2);
    assert_int_equal(info.pictures, 3);

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

/* ---- Several users of one file --------------------------------------------------------------- */

static void commit_later(void *user)
{
    struct store *store = user;
    clock_sleep(0.3);
    assert_int_equal(store->write->commit(store), 0);
}

static void writers_wait_and_readers_do_not(void **state)
{
    (void)state;
    char *folder = scratch_folder();
    struct store *first = open_store(folder), *second = open_store(folder);
    struct vkclip_index_info info;
    struct thread thread;
    assert_int_equal(first->write->begin(first), 0);
    add_file(first, "/1", 1, 1);
    assert_int_equal(second->read->count(second, &info), 0);
    assert_int_equal(info.files, 0);
    assert_true(thread_start(&thread, commit_later, first));
    assert_int_equal(second->write->begin(second), 0); /* It waits for the other. */
    thread_join(&thread);
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
    server = getenv("VKCLIP_TEST_POSTGRESQL");
    return cmocka_run_group_tests(tests, NULL, NULL);
}
