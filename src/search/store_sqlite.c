/* SPDX-License-Identifier: MIT
 *
 * The store that is one SQLite file. docs/search.md describes its tables. Databases of other
 * programs and of newer versions are told by the two numbers that SQLite reserves for that in a
 * file's header.
 */
#include "search/store.h"

#ifdef VKCLIP_WITH_SEARCH
#include "search/sqlite_store.h"

#include <stdio.h>
#include <stdlib.h>

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

/* ---- Opening --------------------------------------------------------------------------------- */

static void close_store(struct store *store)
{
    sqlite_close(sqlite_of_store(store));
    free(store);
}

/* Makes the tables of a new database, as one transaction: another process may do the same now. */
static int make_tables(struct sqlite *sqlite)
{
    char numbers[96];
    int64_t application = 0;
    snprintf(numbers, sizeof(numbers), "PRAGMA application_id = %d; PRAGMA user_version = %d;",
             APPLICATION, VERSION);
    int error = sqlite_execute(sqlite, "BEGIN IMMEDIATE");
    if (!error)
        error = sqlite_find_number(sqlite, "PRAGMA application_id", 0, &application, "");
    if (!error && !application)
        error = sqlite_execute(sqlite, schema);
    if (!error && !application)
        error = sqlite_execute(sqlite, numbers);
    if (!error)
        return sqlite_execute(sqlite, "COMMIT");
    sqlite3_exec(sqlite->database, "ROLLBACK", NULL, NULL, NULL);
    return error;
}

/* Checks whose database it is. A database without any table is a new one. */
static int check_tables(struct sqlite *sqlite, bool read_only)
{
    int64_t application, version, tables;
    int error = sqlite_find_number(sqlite, "PRAGMA application_id", 0, &application, "");
    if (!error)
        error = sqlite_find_number(sqlite, "PRAGMA user_version", 0, &version, "");
    if (!error)
        error = sqlite_find_number(sqlite, "SELECT count(*) FROM sqlite_master", 0, &tables, "");
    if (error)
        return error;
    if (!application && !version && !tables && !read_only)
        return make_tables(sqlite);
    if (application != APPLICATION)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: expected an index of vkclip, found another program's database",
                          sqlite->path);
    if (version > VERSION)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: an index of version %lld, of a newer vkclip; this one knows version "
                          "%d",
                          sqlite->path, (long long)version, VERSION);
    return VKCLIP_OK;
}

int store_open_sqlite(const char *path, bool read_only, struct store **result)
{
    struct sqlite_store *store = calloc(1, sizeof(*store));
    if (!store)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    store->store = (struct store){close_store, &sqlite_readers, &sqlite_writers};
    *result = &store->store;
    int error =
        sqlite_open(path, read_only ? SQLITE_MODE_READ : SQLITE_MODE_CREATE, &store->sqlite);
    if (!error)
        error = check_tables(&store->sqlite, read_only);
    /* In WAL mode others can read while this process writes, and what was committed survives the
     * end of the process. */
    if (!error && !read_only)
        error = sqlite_execute(&store->sqlite, "PRAGMA journal_mode = WAL;"
                                               "PRAGMA synchronous = NORMAL;"
                                               "PRAGMA foreign_keys = ON;");
    if (error)
        store_close(result);
    return error;
}
#else
int store_open_sqlite(const char *path, bool read_only, struct store **store)
{
    (void)read_only;
    (void)store;
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "%s: this build has no picture search: it needs SQLite and xxHash", path);
}
#endif
