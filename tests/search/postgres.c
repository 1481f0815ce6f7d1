/* SPDX-License-Identifier: MIT
 *
 * What only the PostgreSQL store does: passwords stay out of messages, schemas of others are
 * refused, and several processes share the work. Most of it needs the database that
 * VKCLIP_TEST_POSTGRESQL names; its schema vkclip is dropped before each test. An argument names
 * the tests that run, as a pattern.
 */
#define _GNU_SOURCE
#include "search/postgres_store.h"
#include "support/scratch.h"

#include <time.h>

enum { DIM = 3, PATHS = 100 };
static const uint16_t row[DIM] = {0x3c00, 0x0001, 0xfbff};
static const struct store_stamp stamp = {.size = 1, .inode = 1, .modified = 2, .changed = 3};
static const char *server;

static void execute(const char *text)
{
    struct postgres postgres;
    assert_int_equal(postgres_open(server, &postgres), 0);
    if (database_execute(&postgres.database, text))
        fail_msg("%s: %s", text, vkclip_last_error());
    postgres_close(&postgres);
}

static int empty_database(void **state)
{
    (void)state;
    execute("DROP SCHEMA IF EXISTS vkclip CASCADE");
    return 0;
}

/* PGlite has one session, and takes a moment to see that the connection before has ended. */
static struct store *open_store(void)
{
    const struct timespec pause = {.tv_nsec = 50000000};
    struct store *store;
    for (int i = 0; i < 200 && store_open(server, false, &store); i++)
        nanosleep(&pause, NULL);
    if (!store)
        fail_msg("%s", vkclip_last_error());
    return store;
}

static int64_t add_model(struct store *store)
{
    const struct vkclip_index_model model = {
        .size = sizeof(model), .identity = "aa", .name = "/models/\xff", .embed_dim = DIM};
    int64_t id;
    assert_int_equal(store->write->begin(store), 0);
    assert_int_equal(store->write->put_model(store, &model, &id), 0);
    assert_int_equal(store->write->commit(store), 0);
    return id;
}

/* ---- Names ----------------------------------------------------------------------------------- */

static void names_are_shown_without_passwords(void **state)
{
    (void)state;
    static const struct {
        const char *name, *shown;
    } cases[] = {
        {"/a:b@c/password=x.db", "/a:b@c/password=x.db"},
        {"postgresql://host/name", "postgresql://host/name"},
        {"postgresql://host:5433/name", "postgresql://host:5433/name"},
        {"postgresql://me@host:5433/name", "postgresql://me@host:5433/name"},
        {"postgresql://me:secret@host:5433/name", "postgresql://me@host:5433/name"},
        {"postgres://me:secret@/name?host=/run", "postgres://me@/name?host=/run"},
        {"postgresql://me:sec@ret/secret@host/name", "postgresql://me@host/name"},
        {"postgresql://host/name?password=secret&port=1",
         "postgresql://host/name?password=&port=1"},
        {"postgresql://host/name?sslpassword=secret", "postgresql://host/name?sslpassword="},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        char *shown = store_shown_name(cases[i].name);
        assert_string_equal(shown, cases[i].shown);
        free(shown);
    }
}

static void no_message_has_a_password(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int error;
        const char *message;
    } cases[] = {
        {"postgresql://me:sec@ret@/name?host=/nonexistent", VKCLIP_EINVALID, "written as %XX"},
        {"postgresql://me:sec/ret@/name?host=/nonexistent", VKCLIP_EINVALID, "written as %XX"},
        {"postgresql://me:sec?r@ret@/name?host=/nonexistent", VKCLIP_EINVALID, "written as %XX"},
        {"postgresql://me:sec?ret@/name?host=/nonexistent", VKCLIP_EIO, "no connection"},
        {"postgresql://me:secret@/name?host=/nonexistent&no=1", VKCLIP_EINVALID, "written as %XX"},
        {"postgresql://me:secret@/name?host=/nonexistent", VKCLIP_EIO,
         "postgresql://me@/name?host=/nonexistent: no connection to the database"},
        {"postgresql:///name?host=/nonexistent&password=secret", VKCLIP_EIO, "no connection"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct vkclip_index_params params = {.size = sizeof(params), .path = cases[i].name};
        struct vkclip_index *index;
        assert_failed(vkclip_open_index(&params, &index), cases[i].error, cases[i].message);
        assert_null(index);
        assert_null(strstr(vkclip_last_error(), "ret"));
    }
}

/* ---- Schemas --------------------------------------------------------------------------------- */

static void other_schemas_are_refused(void **state)
{
    (void)state;
    struct store *store;
    assert_failed(store_open(server, true, &store), VKCLIP_EIO, "the database has no index yet");
    execute("CREATE SCHEMA vkclip");
    assert_failed(store_open(server, false, &store), VKCLIP_EFORMAT,
                  "found another program's schema vkclip");
    execute("DROP SCHEMA vkclip");
    store = open_store();
    store_close(&store);
    execute("UPDATE vkclip.version SET number = 2");
    assert_failed(store_open(server, false, &store), VKCLIP_EUNSUPPORTED,
                  "an index of version 2, of a newer vkclip; this one knows version 1");
    execute("UPDATE vkclip.version SET number = 1");
    assert_int_equal(store_open(server, true, &store), 0);
    assert_failed(store->write->put_root(store, "/"), VKCLIP_EIO, "read-only");
    store_close(&store);
}

/* What files and messages say need not be UTF-8, which the server demands of texts. */
static int check_camera(void *user, const struct store_picture *picture)
{
    *(bool *)user = true;
    assert_string_equal(picture->facts.camera, "caf\xc3\xa9 ? ?");
    return 0;
}

static void texts_are_mended(void **state)
{
    (void)state;
    struct store *store = open_store();
    const struct store_hash hash = {.bytes = {0, 1}};
    const struct image_facts facts = {.format = "JPEG", .camera = "caf\xc3\xa9 \xe9 \xff"};
    int64_t id, before;
    bool seen = false;
    assert_int_equal(store->write->begin(store), 0);
    assert_int_equal(store->write->put_content(store, &hash, &id), 0);
    assert_int_equal(store->write->put_facts(store, id, &facts), 0);
    assert_int_equal(
        store->write->put_file(store, "/\xff", &stamp, id, VKCLIP_EIO, "\xff broken", &before), 0);
    assert_int_equal(store->write->commit(store), 0);
    assert_int_equal(store->read->each_copy(store, id, check_camera, &seen), 0);
    assert_true(seen);
    store_close(&store);
}

/* ---- Shared work ----------------------------------------------------------------------------- */

static void list_work(struct store *store, int64_t model)
{
    char path[32];
    struct store_seen found;
    assert_int_equal(store->write->start_pass(store), 0);
    for (int i = 0; i < PATHS; i++) {
        snprintf(path, sizeof(path), "/p/%d", i);
        assert_int_equal(store->write->see_file(store, path, &stamp, model, false, &found), 0);
        if (found.state != STORE_INDEXED)
            assert_int_equal(store->write->add_work(store, path), 0);
    }
}

/* Takes the next path of a store and counts it. Returns its number, or -1 after the last. */
static int take_path(struct store *store, int64_t *after, int *counts)
{
    struct store_work work;
    int number = -1;
    assert_int_equal(store->write->next_work(store, *after, &work), 0);
    if (!work.path)
        return -1;
    assert_true(work.number > *after);
    *after = work.number;
    assert_int_equal(sscanf(work.path, "/p/%d", &number), 1);
    counts[number]++;
    free(work.path);
    return number;
}

static void write_path(struct store *store, int number, int64_t model)
{
    const struct store_hash hash = {.bytes = {(uint8_t)number}};
    int64_t id, before;
    char path[32];
    snprintf(path, sizeof(path), "/p/%d", number);
    assert_int_equal(store->write->begin(store), 0);
    assert_int_equal(store->write->put_content(store, &hash, &id), 0);
    assert_int_equal(store->write->put_vector(store, id, model, row, DIM), 0);
    assert_int_equal(store->write->put_file(store, path, &stamp, id, 0, NULL, &before), 0);
    assert_int_equal(store->write->commit(store), 0);
}

/* Two processes that have found the same files take each of them once, whether the other is done
 * with it or not. */
static void work_is_claimed_once(void **state)
{
    (void)state;
    struct store *stores[2] = {open_store(), open_store()};
    const int64_t model = add_model(stores[0]);
    int64_t after[2] = {0};
    int counts[PATHS] = {0}, taken[2] = {0};
    bool ended[2] = {false};
    struct vkclip_index_info info = {.size = sizeof(info)};
    list_work(stores[0], model);
    list_work(stores[1], model);
    for (int i = 0; !ended[0] || !ended[1]; i++) {
        const int turn = i % 3 == 2; /* One is faster. */
        const int number = take_path(stores[turn], &after[turn], counts);
        ended[turn] = number < 0;
        taken[turn] += number >= 0;
        if (number >= 0 && i % 2)
            write_path(stores[turn], number, model);
    }
    for (int i = 0; i < PATHS; i++)
        assert_int_equal(counts[i], 1);
    assert_true(taken[0] > 16 && taken[1] > 16);

    /* What one has written since the other began is not missing for it. */
    uint64_t marked;
    assert_int_equal(stores[1]->write->start_pass(stores[1]), 0);
    write_path(stores[0], 200, model);
    assert_int_equal(stores[1]->read->count(stores[1], &info), 0);
    assert_int_equal(stores[1]->write->begin(stores[1]), 0);
    assert_int_equal(stores[1]->write->mark_missing(stores[1], "/p", 7), 0);
    assert_int_equal(stores[1]->write->count_marked(stores[1], 7, &marked), 0);
    assert_int_equal(marked, info.files - 1);
    assert_int_equal(stores[1]->write->commit(stores[1]), 0);
    store_close(&stores[0]);
    store_close(&stores[1]);
}

static void assert_claim(struct store *store, uint8_t number, int64_t model, bool expected)
{
    const struct store_hash hash = {.bytes = {number}};
    bool claimed;
    assert_int_equal(store->write->claim_content(store, &hash, model, &claimed), 0);
    assert_int_equal(claimed, expected);
}

/* Copies of a content, which two processes may read at the same time, are for one of them until it
 * has written a file that has it, given it back, or ended its pass. */
static void contents_are_claimed_once(void **state)
{
    (void)state;
    struct store *stores[2] = {open_store(), open_store()};
    const int64_t model = add_model(stores[0]);
    const struct store_hash three = {.bytes = {3}};
    list_work(stores[0], model);
    list_work(stores[1], model);
    for (uint8_t number = 1; number <= 4; number++) {
        assert_claim(stores[0], number, model, true);
        assert_claim(stores[0], number, model, true);
        assert_claim(stores[1], number, model, false);
        assert_claim(stores[1], number, model + 1, true);
    }
    write_path(stores[0], 2, model);
    assert_claim(stores[1], 2, model, true);
    assert_int_equal(stores[0]->write->drop_work(stores[0], "/none", &three), 0);
    assert_claim(stores[1], 3, model, true);
    stores[0]->write->end_pass(stores[0]);
    assert_claim(stores[1], 4, model, true);
    store_close(&stores[0]);
    store_close(&stores[1]);
}

/* The server takes some milliseconds to see that a connection has ended. */
static void wait_for_end(struct database *database)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    int64_t workers = 1;
    for (int i = 0; i < 500 && workers; i++) {
        nanosleep(&pause, NULL);
        assert_int_equal(database_find_number(database,
                                              "SELECT count(*) FROM pg_locks"
                                              " WHERE locktype = 'advisory'",
                                              0, &workers, ""),
                         0);
    }
    assert_int_equal(workers, 0);
}

/* What a process had claimed is free when its connection ends, however that comes. */
static void claims_end_with_their_process(void **state)
{
    (void)state;
    struct store *dead = open_store(), *other = open_store();
    const int64_t model = add_model(dead);
    int64_t after = 0, after_other = 0;
    int counts[PATHS] = {0}, of_other[PATHS] = {0};
    list_work(dead, model);
    for (int i = 0; i < 5; i++)
        write_path(dead, take_path(dead, &after, counts), model);
    assert_claim(dead, 7, model, true);
    struct postgres *connection = &((struct postgres_store *)dead)->postgres;
    PQfinish(connection->connection);
    wait_for_end(sql_database(other));
    connection->connection = NULL;
    store_close(&dead);
    list_work(other, model);
    while (take_path(other, &after_other, of_other) >= 0) {
    }
    for (int i = 0; i < PATHS; i++)
        assert_int_equal(of_other[i], i >= 5);
    assert_claim(other, 7, model, true);
    store_close(&other);
}

/* ---- Cancelling ------------------------------------------------------------------------------ */

struct asked {
    size_t calls, stop;
};

static int ask(void *user, uint64_t done, uint64_t total)
{
    struct asked *asked = user;
    (void)done, (void)total;
    return ++asked->calls == asked->stop;
}

/* Calls end while the server waits for a lock, and the same calls then succeed. */
static void statements_can_be_cancelled(void **state)
{
    (void)state;
    struct asked asked = {0};
    const struct vkclip_index_params params = {
        .size = sizeof(params), .path = server, .progress = ask, .user = &asked};
    struct vkclip_index_info info = {.size = sizeof(info)};
    struct vkclip_index *index = NULL;
    struct postgres other;
    assert_int_equal(vkclip_open_index(&params, &index), 0);
    assert_int_equal(postgres_open(server, &other), 0);
    for (int i = 0; i < 3; i++) {
        asked = (struct asked){.stop = 4};
        assert_int_equal(database_execute(&other.database,
                                          "BEGIN; LOCK TABLE vkclip.file IN ACCESS EXCLUSIVE MODE"),
                         0);
        assert_failed(i % 2 ? vkclip_prune_index(index, NULL) : vkclip_get_index_info(index, &info),
                      VKCLIP_ECANCELLED, "stopped by the caller");
        assert_int_equal(asked.calls, 4);
        database_rollback(&other.database);
        assert_int_equal(vkclip_prune_index(index, NULL), 0);
        assert_int_equal(vkclip_get_index_info(index, &info), 0);
    }
    postgres_close(&other);
    vkclip_close_index(&index);
}

/* ---- HNSW ------------------------------------------------------------------------------------ */

/* Finds the one HNSW index that the server uses. */
static int64_t find_hnsw(struct store *store)
{
    int64_t id;
    assert_int_equal(database_find_number(sql_database(store),
                                          "SELECT min(indexrelid::bigint) FROM pg_index"
                                          " JOIN pg_class ON pg_class.oid = indexrelid"
                                          " JOIN pg_am ON pg_am.oid = relam AND amname = 'hnsw'"
                                          " WHERE indrelid = 'vkclip.vector'::regclass"
                                          " AND indisvalid HAVING count(*) = 1",
                                          0, &id, ""),
                     0);
    assert_true(id > 0);
    return id;
}

static void an_hnsw_index_needs_pgvector(void **state)
{
    (void)state;
    /* What may be there already, and whether it is the index that was asked for. */
    static const struct {
        const char *text;
        bool stays;
    } cases[] = {
        {"SELECT", true},
        {"ALTER INDEX vkclip.vector_hnsw_1 RENAME TO other", true},
        {"ALTER INDEX vkclip.other RENAME TO vector_hnsw_1;"
         "UPDATE pg_index SET indisvalid = false"
         " WHERE indexrelid = 'vkclip.vector_hnsw_1'::regclass",
         false},
        {"DROP INDEX vkclip.vector_hnsw_1;"
         "CREATE INDEX vector_hnsw_1 ON vkclip.vector(content)",
         false},
    };
    struct store *store = open_store();
    int64_t halfvec;
    const int64_t model = add_model(store);
    write_path(store, 1, model);
    assert_int_equal(database_find_number(sql_database(store),
                                          "SELECT (to_regtype('halfvec') IS NOT NULL)::int::bigint",
                                          0, &halfvec, ""),
                     0);
    if (halfvec)
        assert_int_equal(store->write->add_hnsw(store), 0);
    else
        assert_failed(store->write->add_hnsw(store), VKCLIP_EUNSUPPORTED, "no pgvector");
    for (size_t i = 0; halfvec && i < ARRAY_COUNT(cases); i++) {
        const int64_t before = find_hnsw(store);
        assert_int_equal(database_execute(sql_database(store), cases[i].text), 0);
        assert_int_equal(store->write->add_hnsw(store), 0);
        assert_int_equal(find_hnsw(store) == before, cases[i].stays);
    }
    store_close(&store);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests_of_names[] = {
        cmocka_unit_test(names_are_shown_without_passwords),
        cmocka_unit_test(no_message_has_a_password),
    };
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(other_schemas_are_refused, empty_database),
        cmocka_unit_test_setup(texts_are_mended, empty_database),
        cmocka_unit_test_setup(work_is_claimed_once, empty_database),
        cmocka_unit_test_setup(contents_are_claimed_once, empty_database),
        cmocka_unit_test_setup(claims_end_with_their_process, empty_database),
        cmocka_unit_test_setup(statements_can_be_cancelled, empty_database),
        cmocka_unit_test_setup(an_hnsw_index_needs_pgvector, empty_database),
    };
    server = getenv("VKCLIP_TEST_POSTGRESQL");
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    int failed = cmocka_run_group_tests(tests_of_names, NULL, NULL);
    if (server)
        failed += cmocka_run_group_tests(tests, NULL, NULL);
    return failed;
}
