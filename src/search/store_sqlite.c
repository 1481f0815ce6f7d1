/* SPDX-License-Identifier: MIT
 *
 * The store that is one SQLite file. docs/search.md describes its tables. Databases of other
 * programs and of newer versions are told by the two numbers that SQLite reserves for that in a
 * file's header.
 */
#include "base/memory.h"
#include "search/store.h"

#include "search/sql_store.h"
#include "search/sqlite.h"

#include <stdio.h>
#include <stdlib.h>

struct sqlite_store {
    struct sql_store sql; /* comes first, because callers have a pointer to it */
    struct sqlite sqlite;
};

enum { APPLICATION = 0x766b636c, VERSION = 1 }; /* "vkcl" */

static const char schema[] =
    "CREATE TABLE root(path BLOB PRIMARY KEY) WITHOUT ROWID;"
    "CREATE TABLE content(id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, width INTEGER,"
    " height INTEGER, orientation INTEGER, format TEXT, taken INTEGER, camera TEXT,"
    " latitude REAL, longitude REAL, error INTEGER NOT NULL DEFAULT 0, message TEXT);"
    "CREATE TABLE file(id INTEGER PRIMARY KEY, path BLOB NOT NULL UNIQUE,"
    " size INTEGER NOT NULL, inode INTEGER NOT NULL, modified INTEGER NOT NULL,"
    " changed INTEGER NOT NULL, content INTEGER REFERENCES content(id),"
    " error INTEGER NOT NULL DEFAULT 0, message TEXT, missing INTEGER NOT NULL DEFAULT 0);"
    "CREATE INDEX file_content ON file(content, missing);"
    "CREATE TABLE model(id INTEGER PRIMARY KEY, identity TEXT NOT NULL UNIQUE,"
    " name TEXT NOT NULL UNIQUE, dim INTEGER NOT NULL, changes INTEGER NOT NULL DEFAULT 0,"
    " rewrites INTEGER NOT NULL DEFAULT 0);"
    "CREATE TABLE vector(id INTEGER PRIMARY KEY, data BLOB NOT NULL);"
    "CREATE TABLE thumbnail(content INTEGER PRIMARY KEY REFERENCES content(id)"
    " ON DELETE CASCADE, data BLOB NOT NULL);"
    "CREATE TABLE distinct_pair(a INTEGER NOT NULL REFERENCES content(id) ON DELETE CASCADE,"
    " b INTEGER NOT NULL REFERENCES content(id) ON DELETE CASCADE, PRIMARY KEY(a, b))"
    " WITHOUT ROWID;";

/* ---- Statements ------------------------------------------------------------------------------ */

#define BEGIN_READ "BEGIN"
#define BEGIN_WRITE "BEGIN IMMEDIATE"
#define COMPACT "VACUUM"
#define BYTES "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
/* "/" is followed by "0" in the order of bytes. Below "/" itself are all paths: those of Windows
 * begin with the letter of a drive. */
#define BELOW                                                       \
    "(path = $1 OR (path > CAST(rtrim($1, '/') || '/' AS BLOB) AND" \
    " path < CASE rtrim($1, '/') WHEN '' THEN x'ff'"                \
    " ELSE CAST(rtrim($1, '/') || '0' AS BLOB) END))"
#define BY_CONTENT " INDEXED BY file_content"
#define NAME(value) "CAST(" value " AS TEXT)"
#define RANDOM "random()"
/* A vector's key has the model above its content, so that the vectors of a model lie together in
 * the order of ids. */
#define VECTOR_KEY "id"
#define VECTOR_ORDER "vector.id"
#define VECTOR_CONTENT "(vector.id & 1099511627775)"
#define KEY_OF(model, content) "((" model " << 40) + " content ")"
#define VECTOR_OF(model, content) "vector.id = " KEY_OF(model, content)
#define VECTORS_AFTER(model, content) \
    "vector.id > " KEY_OF(model, content) " AND vector.id < " KEY_OF(model " + 1", "0")
#define ON_SERVER(text) ""
#define WRITTEN_BEFORE(start) "file.id <= " start
#define SEEN_KEY "id"
#define SEE_ID "INSERT INTO pass_seen VALUES($1) ON CONFLICT DO NOTHING"

static const char *const statements[SQL_STATEMENTS] = {
#define SQL_STATEMENT(name, text) [SQL_##name] = text,
#include "search/statements.def"
};

/* ---- A pass ---------------------------------------------------------------------------------- */

static int start_pass(struct store *store)
{
    int error = database_execute(sql_database(store),
                                 "DROP TABLE IF EXISTS temp.pass_seen;"
                                 "DROP TABLE IF EXISTS temp.pass_work;"
                                 "CREATE TEMP TABLE pass_seen(id INTEGER PRIMARY KEY);"
                                 "CREATE TEMP TABLE pass_work(id INTEGER PRIMARY KEY, path BLOB);");
    return error ? error
                 : database_find_number(sql_database(store), "SELECT max(id) FROM file", 0,
                                        &sql_store(store)->pass_started, "");
}

static int add_work(struct store *store, const char *path)
{
    return database_run(sql_database(store), "INSERT INTO pass_work(path) VALUES($1)", NULL, "p",
                        path);
}

static int next_work(struct store *store, int64_t after, struct store_work *work)
{
    struct row row;
    *work = (struct store_work){0};
    int error = database_find(sql_database(store),
                              "SELECT id, path FROM pass_work WHERE id > $1 ORDER BY id LIMIT 1",
                              &row, "i", after);
    if (error || !row.rows)
        return error;
    error = sql_read_work(&row, work);
    row_release(&row);
    return error;
}

/* Two processes that index into one file do no harm, but may encode the same pictures. */
static int claim_content(struct store *store, const struct store_hash *hash, int64_t model,
                         bool *claimed)
{
    (void)store;
    (void)hash;
    (void)model;
    *claimed = true;
    return VKCLIP_OK;
}

static int drop_work(struct store *store, const char *path, const struct store_hash *hash)
{
    (void)store;
    (void)path;
    (void)hash;
    return VKCLIP_OK;
}

static void end_pass(struct store *store)
{
    (void)store;
}

/* A search of a file is exact, and fast enough without one. */
static int add_hnsw(struct store *store)
{
    return error_fail(VKCLIP_EUNSUPPORTED, "%s: only an index in PostgreSQL can have an HNSW index",
                      sql_database(store)->name);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void close_store(struct store *store)
{
    sqlite_close(&((struct sqlite_store *)store)->sqlite);
    memory_free(store);
}

/* Makes the tables of a new database, as one transaction: another process may do the same now. */
static int make_tables(struct database *database)
{
    char numbers[96];
    int64_t application = 0;
    snprintf(numbers, sizeof(numbers), "PRAGMA application_id = %d; PRAGMA user_version = %d;",
             APPLICATION, VERSION);
    int error = database_execute(database, "BEGIN IMMEDIATE");
    if (!error)
        error = database_find_number(database, "PRAGMA application_id", 0, &application, "");
    if (!error && !application)
        error = database_execute(database, schema);
    if (!error && !application)
        error = database_execute(database, numbers);
    if (!error)
        return database_execute(database, "COMMIT");
    database_rollback(database);
    return error;
}

/* Checks whose database it is. A database without any table is a new one. */
static int check_tables(struct database *database, bool read_only)
{
    int64_t application, version, tables;
    int error = database_find_number(database, "PRAGMA application_id", 0, &application, "");
    if (!error)
        error = database_find_number(database, "PRAGMA user_version", 0, &version, "");
    if (!error)
        error =
            database_find_number(database, "SELECT count(*) FROM sqlite_master", 0, &tables, "");
    if (error)
        return error;
    const bool empty = !application && !version && !tables;
    if (empty && !read_only)
        return make_tables(database);
    if (application != APPLICATION)
        return error_fail(VKCLIP_EFORMAT, "%s: expected an index of vkclip, found %s",
                          database->name, empty ? "an empty file" : "another program's database");
    return sql_check_version(database->name, version, VERSION);
}

int store_open_sqlite(const char *path, bool read_only, struct store **result)
{
    struct sqlite_store *store = memory_calloc(1, sizeof(*store));
    if (!store)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    struct sql_store *sql = &store->sql;
    *sql = (struct sql_store){.store = {close_store, &sql_readers, &sql->write},
                              .write = sql_writers,
                              .database = &store->sqlite.database,
                              .statements = statements};
    sql->write.start_pass = start_pass;
    sql->write.add_work = add_work;
    sql->write.next_work = next_work;
    sql->write.claim_content = claim_content;
    sql->write.drop_work = drop_work;
    sql->write.end_pass = end_pass;
    sql->write.add_hnsw = add_hnsw;
    *result = &sql->store;
    int error =
        sqlite_open(path, read_only ? SQLITE_MODE_READ : SQLITE_MODE_CREATE, &store->sqlite);
#ifdef __ANDROID__
    /* Applications there have no folder in which SQLite would put temporary files. */
    if (!error)
        error = database_execute(sql->database, "PRAGMA temp_store = MEMORY;");
#endif
    if (!error)
        error = check_tables(sql->database, read_only);
    /* In WAL mode others can read while this process writes, and what was committed survives the
     * end of the process. */
    if (!error && !read_only)
        error = database_execute(sql->database, "PRAGMA journal_mode = WAL;"
                                                "PRAGMA synchronous = NORMAL;"
                                                "PRAGMA foreign_keys = ON;");
    if (error)
        store_close(result);
    return error;
}
