/* SPDX-License-Identifier: MIT
 *
 * Cancels the long calls on indexes (support/cancel.h), also those that wait for the database.
 */
#define _GNU_SOURCE
#include "support/cancel.h"
#include "support/eager.h"

#include <sqlite3.h>
#include <sys/stat.h>

static struct vkclip_index *pictures;

static int ask_update(void *user, const struct vkclip_update_progress *progress)
{
    return ask(user, progress->done, progress->total);
}

static int update(void)
{
    const char *path = SAMPLES;
    struct vkclip_update_params params = {
        .size = sizeof(params), .progress = ask_update, .user = &asked};
    struct vkclip_update_result result = {.size = sizeof(result)};
    const int error = vkclip_index_paths(pictures, model, &path, 1, &params, &result);
    if (!error)
        assert_true(result.indexed >= 8);
    return error;
}

static int take_owl(void *user, const struct vkclip_hit *hit)
{
    (void)user;
    assert_non_null(strstr(hit->path, "owl.png"));
    return 0;
}

static int search(void)
{
    const struct vkclip_query_part part = {.value = "a picture of a owl"};
    const struct vkclip_search_params params = {
        .size = sizeof(params), .parts = &part, .part_count = 1, .top = 1, .progress = ask};
    return vkclip_search(pictures, model, &params, take_owl, &asked);
}

static int ask_share(void *user, double share)
{
    assert_true(share >= 0 && share <= 1);
    assert_true(asked.calls || share == 0); /* The first question comes before all work. */
    return ask(user, 0, 0);                 /* A share of 1 can be refused, too. */
}

static int take_group(void *user, const struct vkclip_group *group)
{
    (void)user;
    assert_true(group->count > 1);
    return 0;
}

static int find_duplicates(void)
{
    const struct vkclip_duplicates_params params = {
        .size = sizeof(params), .distance = 0.2, .progress = ask_share};
    return vkclip_find_duplicates(pictures, device, &params, take_group, &asked);
}

static char *rclip;

/* Writes a database of rclip with the samples that are encoded here. */
static void make_rclip(void)
{
    sqlite3 *connection = NULL;
    sqlite3_stmt *insert = NULL;
    assert_int_equal(sqlite3_open(rclip, &connection), SQLITE_OK);
    assert_int_equal(sqlite3_exec(connection,
                                  "CREATE TABLE images(id INTEGER PRIMARY KEY, deleted BOOLEAN,"
                                  " filepath NVARCHAR UNIQUE, modified_at DATETIME, size INTEGER,"
                                  " vector BLOB, indexing BOOLEAN, hash NVARCHAR)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(connection,
                                        "INSERT INTO images(filepath, modified_at, size, vector)"
                                        " VALUES(?, ?, ?, ?)",
                                        -1, &insert, NULL),
                     SQLITE_OK);
    for (size_t i = 0; i < PICTURES; i++) {
        struct stat status;
        char *path = realpath(paths[i], NULL);
        assert_int_equal(stat(path, &status), 0);
        sqlite3_bind_text(insert, 1, path, -1, SQLITE_TRANSIENT);
        sqlite3_bind_double(insert, 2,
                            (double)status.st_mtim.tv_sec + (double)status.st_mtim.tv_nsec * 1e-9);
        sqlite3_bind_int64(insert, 3, status.st_size);
        sqlite3_bind_blob(insert, 4, &expected[i * D], D * sizeof(float), SQLITE_TRANSIENT);
        assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
        sqlite3_reset(insert);
        free(path);
    }
    sqlite3_finalize(insert);
    sqlite3_close(connection);
}

static int import(void)
{
    struct vkclip_import_result result = {.size = sizeof(result)};
    return vkclip_import_rclip(pictures, model, rclip, ask, &asked, &result);
}

static void indexes(void **state)
{
    (void)state;
    char *path = scratch_path(folder, "index.db");
    const struct vkclip_index_params params = {.size = sizeof(params), .path = path};
    assert_int_equal(vkclip_open_index(&params, &pictures), VKCLIP_OK);
    /* Some questions come from other threads, which may ask once more before they stop. */
    asked.stop = 1;
    asked.calls = 0;
    assert_int_equal(update(), VKCLIP_ECANCELLED);
    call_until("vkclip_index_paths", update, 0);
    cancel("vkclip_search", search, NULL);
    cancel("vkclip_find_duplicates", find_duplicates, NULL);
    rclip = scratch_path(folder, "rclip.sqlite3");
    make_rclip();
    cancel("vkclip_import_rclip", import, NULL);
    free(rclip);
    vkclip_close_index(&pictures);
    free(path);
}

/* An index whose handle has the function. */
static struct vkclip_index *asking;
static char *database;
static uint64_t missing;

static int open_index(void)
{
    const struct vkclip_index_params params = {.size = sizeof(params), .path = database, ASK};
    vkclip_close_index(&asking);
    const int error = vkclip_open_index(&params, &asking);
    assert_true(!asking == (error != 0));
    return error;
}

static int list_models(void)
{
    size_t count = 0;
    const int error = vkclip_list_index_models(asking, NULL, 0, &count);
    if (!error)
        assert_int_equal(count, 1);
    return error;
}

static int export(void)
{
    uint64_t exported;
    const int error = vkclip_export_index(asking, model, output, &exported);
    assert_true(folder_exists(output) == !error);
    if (!error)
        assert_true(exported >= 8);
    return error;
}

static int upload(void)
{
    return vkclip_upload_index(asking, model);
}

static int read_embedding(void)
{
    float embed[D];
    return vkclip_read_embedding(asking, model, 1, embed);
}

static int watch(void)
{
    bool changed = true;
    const int error = vkclip_watch_index(asking, 0.3, &changed);
    if (!error)
        assert_false(changed);
    return error;
}

/* Only an index in PostgreSQL has this index of its vectors. */
static void add_hnsw(void)
{
    asked.calls = 0;
    asked.stop = 1;
    assert_int_equal(vkclip_add_hnsw_index(asking), VKCLIP_ECANCELLED);
    asked.calls = asked.stop = 0;
    assert_int_equal(vkclip_add_hnsw_index(asking), VKCLIP_EUNSUPPORTED);
}

static uint64_t count_missing(void)
{
    struct vkclip_index_info info = {.size = sizeof(info)};
    asked.calls = asked.stop = 0;
    assert_int_equal(vkclip_get_index_info(asking, &info), VKCLIP_OK);
    return info.missing;
}

static int prune(void)
{
    uint64_t removed = 0;
    struct eager eager;
    eager_begin(&eager);
    const int error = eager_end(&eager, vkclip_prune_index(asking, &removed));
    if (!error)
        assert_int_equal(removed, missing);
    return error;
}

/* Lets the index know many files that are gone. */
static void add_missing(void)
{
    sqlite3 *connection = NULL;
    missing = 20000;
    assert_int_equal(sqlite3_open(database, &connection), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(connection,
                     "WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number"
                     " WHERE i < 20000) INSERT INTO file(path, size, inode, modified, changed,"
                     " missing) SELECT '/gone/' || i, 1, 1, 1, 1, 1 FROM number",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(connection);
}

/* Removing many files is one statement of the database, which is cancelled within it. */
static void prune_much(void)
{
    add_missing();
    assert_int_equal(count_missing(), missing);
    call_until("vkclip_prune_index", prune, 1);
    assert_int_equal(count_missing(), missing);
    call_until("vkclip_prune_index", prune, 2);
    assert_int_equal(count_missing(), missing);
    const size_t calls = call_until("vkclip_prune_index", prune, 0);
    if (calls < 4)
        fail_msg("vkclip_prune_index asks %zu times", calls);
    assert_int_equal(count_missing(), 0);
}

/* An index that another connection writes to for long. */
static void wait_for_lock(void)
{
    sqlite3 *connection = NULL;
    assert_int_equal(sqlite3_open(database, &connection), SQLITE_OK);
    assert_int_equal(sqlite3_exec(connection, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    call_until("vkclip_prune_index", prune, 5);
    sqlite3_close(connection);
    missing = 0;
    call_until("vkclip_prune_index", prune, 0);
}

static void calls_of_an_index(void **state)
{
    (void)state;
    database = scratch_path(folder, "index.db");
    cancel("vkclip_open_index", open_index, NULL);
    cancel("vkclip_list_index_models", list_models, NULL);
    cancel("vkclip_export_index", export, remove_output);
    remove_output();
    cancel("vkclip_upload_index", upload, NULL);
    cancel("vkclip_read_embedding", read_embedding, NULL);
    cancel("vkclip_watch_index", watch, NULL);
    add_hnsw();
    prune_much();
    wait_for_lock();
    asked.calls = asked.stop = 0;
    vkclip_close_index(&asking);
    free(database);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indexes),
        cmocka_unit_test(calls_of_an_index),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
