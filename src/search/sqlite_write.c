/* SPDX-License-Identifier: MIT
 *
 * The functions of the SQLite store that write, and those of a pass over the files.
 */
#ifdef VKCLIP_WITH_SEARCH
#include "search/sqlite_store.h"
#include "base/string.h"

#include <string.h>

/* The list of work and what was seen in a pass belong to the connection. */
static const char pass_schema[] = "DROP TABLE IF EXISTS temp.seen;"
                                  "DROP TABLE IF EXISTS temp.work;"
                                  "CREATE TEMP TABLE seen(id INTEGER PRIMARY KEY);"
                                  "CREATE TEMP TABLE work(id INTEGER PRIMARY KEY, path BLOB);";

/* ---- Transactions ---------------------------------------------------------------------------- */

static int begin(struct store *store)
{
    ((struct sqlite_store *)store)->model = 0;
    return sqlite_execute(sqlite_of_store(store), "BEGIN IMMEDIATE");
}

static int put_generation(struct store *store)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    int error = VKCLIP_OK;
    if (sqlite->model)
        error = sqlite_run(sqlite_of_store(store),
                           "UPDATE model SET changes = ?2,"
                           " rewrites = CASE WHEN ?3 THEN random() ELSE rewrites END WHERE id = ?1",
                           "iii", sqlite->model, sqlite->changes, (int64_t)sqlite->rewritten);
    sqlite->model = 0;
    return error;
}

static int commit(struct store *store)
{
    int error = put_generation(store);
    return error ? error : sqlite_execute(sqlite_of_store(store), "COMMIT");
}

static void rollback(struct store *store)
{
    /* SQLite may have ended the transaction itself, which is no error here. */
    sqlite3_exec(sqlite_of_store(store)->database, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- Writing --------------------------------------------------------------------------------- */

static int put_model(struct store *store, const struct vkclip_index_model *model, int64_t *id)
{
    sqlite3_stmt *row;
    int error = sqlite_readers.find_model(store, model->identity, id);
    if (error || *id)
        return error;
    error = sqlite_find(sqlite_of_store(store), "SELECT identity FROM model WHERE name = ?1", &row,
                        "t", model->name);
    if (!error && row) {
        error = error_fail(VKCLIP_EINVALID,
                           "%s: has vectors of other weights or another preparation of pictures "
                           "under the name %s (identity %.8s, this model's is %.8s): use another "
                           "index",
                           sqlite_of_store(store)->path, model->name, sqlite_text(row, 0),
                           model->identity);
        sqlite3_reset(row);
    }
    /* Without a random number, a copy of the vectors of an index that was here before, and since
     * then deleted, could pass for one of this index. */
    if (!error)
        error = sqlite_run(sqlite_of_store(store),
                           "INSERT INTO model(identity, name, dim, rewrites)"
                           " VALUES(?1, ?2, ?3, random())",
                           "tti", model->identity, model->name, (int64_t)model->embed_dim);
    *id = sqlite3_last_insert_rowid(sqlite_of_store(store)->database);
    return error;
}

static int put_root(struct store *store, const char *path)
{
    return sqlite_run(sqlite_of_store(store), "INSERT OR IGNORE INTO root VALUES(?1)", "p", path);
}

static int put_distinct_pair(struct store *store, int64_t a, int64_t b)
{
    return sqlite_run(sqlite_of_store(store),
                      "INSERT OR IGNORE INTO distinct_pair VALUES(min(?1, ?2), max(?1, ?2))", "ii",
                      a, b);
}

static int put_content(struct store *store, const struct store_hash *hash, int64_t *id)
{
    const size_t size = sizeof(hash->bytes);
    int error = sqlite_find_number(sqlite_of_store(store), "SELECT id FROM content WHERE hash = ?1",
                                   0, id, "b", hash->bytes, size);
    if (error || *id)
        return error;
    error = sqlite_run(sqlite_of_store(store), "INSERT INTO content(hash) VALUES(?1)", "b",
                       hash->bytes, size);
    *id = sqlite3_last_insert_rowid(sqlite_of_store(store)->database);
    return error;
}

static int put_file(struct store *store, const char *path, const struct store_stamp *stamp,
                    int64_t content, int failure, const char *message, int64_t *before)
{
    int error = sqlite_find_number(sqlite_of_store(store),
                                   "SELECT coalesce(content, 0) FROM file WHERE path = ?1", -1,
                                   before, "p", path);
    if (!error)
        error = sqlite_run(
            sqlite_of_store(store),
            "INSERT INTO file(path, size, inode, modified, changed, content, error, message)"
            " VALUES(?1, ?2, ?3, ?4, ?5, nullif(?6, 0), ?7, ?8) ON CONFLICT(path) DO UPDATE"
            " SET size = excluded.size, inode = excluded.inode, modified = excluded.modified,"
            " changed = excluded.changed, content = excluded.content, error = excluded.error,"
            " message = excluded.message, missing = 0",
            "piiiiiit", path, (int64_t)stamp->size, (int64_t)stamp->inode, stamp->modified,
            stamp->changed, content, (int64_t)failure, message);
    return error;
}

static int take_missing(struct store *store, int64_t content, bool *taken)
{
    int error = sqlite_run(sqlite_of_store(store),
                           "DELETE FROM file WHERE id = (SELECT id FROM file WHERE content = ?1"
                           " AND missing <> 0 ORDER BY missing DESC, path LIMIT 1)",
                           "i", content);
    *taken = !error && sqlite3_changes(sqlite_of_store(store)->database) > 0;
    return error;
}

static int put_facts(struct store *store, int64_t content, const struct store_facts *facts)
{
    return sqlite_run(sqlite_of_store(store),
                      "UPDATE content SET format = ?2, camera = ?3, width = ?4, height = ?5,"
                      " orientation = ?6, taken = nullif(?7, -9223372036854775807 - 1),"
                      " latitude = ?8, longitude = ?9, error = 0, message = NULL WHERE id = ?1",
                      "ittiiiirr", content, facts->format, facts->camera, (int64_t)facts->width,
                      (int64_t)facts->height, (int64_t)facts->orientation, facts->taken,
                      facts->latitude, facts->longitude);
}

static int put_thumbnail(struct store *store, int64_t content, const void *data, size_t size)
{
    return sqlite_run(sqlite_of_store(store), "INSERT OR REPLACE INTO thumbnail VALUES(?1, ?2)",
                      "ib", content, data, size);
}

/* Notes which model's vectors change, and where they ended before. */
static int use_model(struct store *store, int64_t model)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    struct store_generation generation = {0};
    if (sqlite->model == model)
        return VKCLIP_OK;
    int error = put_generation(store);
    if (!error)
        error = sqlite_readers.read_generation(store, model, &generation);
    if (!error)
        error = sqlite_find_number(
            sqlite_of_store(store),
            "SELECT coalesce(max(id), 0) FROM vector WHERE id < " SQLITE_KEY("?1 + 1", "0"), 0,
            &sqlite->last, "i", model);
    sqlite->model = error ? 0 : model;
    sqlite->changes = generation.changes;
    sqlite->rewritten = false;
    return error;
}

static int put_vector(struct store *store, int64_t content, int64_t model, const uint16_t *row,
                      size_t dim)
{
    struct sqlite_store *sqlite = (struct sqlite_store *)store;
    const int64_t key = (model << SQLITE_KEY_BITS) + content;
    int error = use_model(store, model);
    if (error)
        return error;
    sqlite->changes = store_add_vector(sqlite->changes, content, row, dim);
    sqlite->rewritten |= key <= sqlite->last;
    sqlite->last = key > sqlite->last ? key : sqlite->last;
    return sqlite_run(sqlite_of_store(store),
                      "INSERT OR REPLACE INTO vector VALUES(" SQLITE_KEY("?2", "?1") ", ?3)", "iib",
                      content, model, row, dim * sizeof(*row));
}

static int fail_content(struct store *store, int64_t content, int error, const char *message)
{
    return sqlite_run(sqlite_of_store(store),
                      "UPDATE content SET error = ?2, message = ?3 WHERE id = ?1", "iit", content,
                      (int64_t)error, message);
}

static int remove_files(struct store *store, const char *path, uint64_t *removed)
{
    struct sqlite *sqlite = sqlite_of_store(store);
    int error = sqlite_run(sqlite, "DELETE FROM file WHERE " SQLITE_BELOW, "p", path);
    *removed = error ? 0 : (uint64_t)sqlite3_changes(sqlite->database);
    return error ? error : sqlite_run(sqlite, "DELETE FROM root WHERE " SQLITE_BELOW, "p", path);
}

static int compact(struct store *store)
{
    return sqlite_execute(sqlite_of_store(store), "VACUUM");
}

static int prune(struct store *store, uint64_t *removed)
{
    static const char unused[] =
        "DELETE FROM content WHERE id NOT IN (SELECT content FROM file WHERE content IS NOT NULL);"
        "DELETE FROM vector WHERE NOT EXISTS(SELECT 1 FROM content WHERE content.id ="
        " vector.id & ((1 << 40) - 1));"
        "UPDATE model SET changes = random(), rewrites = random();";
    const struct sqlite *sqlite = sqlite_of_store(store);
    int error = sqlite_execute(sqlite, "DELETE FROM file WHERE missing <> 0");
    *removed = error ? 0 : (uint64_t)sqlite3_changes(sqlite_of_store(store)->database);
    return error ? error : sqlite_execute(sqlite, unused);
}

/* A search of a file is exact, and fast enough without one. */
static int add_hnsw(struct store *store)
{
    return error_fail(VKCLIP_EUNSUPPORTED, "%s: only an index in PostgreSQL can have an HNSW index",
                      sqlite_of_store(store)->path);
}

/* ---- One pass -------------------------------------------------------------------------------- */

static int start_pass(struct store *store)
{
    return sqlite_execute(sqlite_of_store(store), pass_schema);
}

static bool is_same_stamp(sqlite3_stmt *row, const struct store_stamp *stamp)
{
    return (uint64_t)sqlite3_column_int64(row, 1) == stamp->size &&
           (uint64_t)sqlite3_column_int64(row, 2) == stamp->inode &&
           sqlite3_column_int64(row, 3) == stamp->modified &&
           sqlite3_column_int64(row, 4) == stamp->changed;
}

static int see_file(struct store *store, const char *path, const struct store_stamp *stamp,
                    int64_t model, enum store_state *state)
{
    sqlite3_stmt *row;
    int error = sqlite_find(
        sqlite_of_store(store),
        "SELECT file.id, size, inode, modified, changed, coalesce(content, 0),"
        " file.error, coalesce(content.error, 0), EXISTS(SELECT 1 FROM vector WHERE"
        " vector.id = " SQLITE_KEY("?2", "content") ") FROM file LEFT JOIN content"
                                                    " ON content.id = file.content WHERE path = ?1",
        &row, "pi", path, model);
    *state = STORE_UNKNOWN;
    if (error || !row)
        return error;
    const int64_t id = sqlite3_column_int64(row, 0);
    const bool failed = sqlite3_column_int(row, 6) || sqlite3_column_int(row, 7);
    if (is_same_stamp(row, stamp))
        *state = failed                       ? STORE_FAILED
                 : sqlite3_column_int(row, 8) ? STORE_INDEXED
                                              : STORE_UNENCODED;
    sqlite3_reset(row);
    return sqlite_run(sqlite_of_store(store), "INSERT OR IGNORE INTO temp.seen VALUES(?1)", "i",
                      id);
}

static int see_folder(struct store *store, const char *path)
{
    return sqlite_run(sqlite_of_store(store),
                      "INSERT OR IGNORE INTO temp.seen SELECT id FROM file WHERE missing = 0"
                      " AND " SQLITE_BELOW,
                      "p", path);
}

static int add_work(struct store *store, const char *path)
{
    return sqlite_run(sqlite_of_store(store), "INSERT INTO temp.work(path) VALUES(?1)", "p", path);
}

static int next_work(struct store *store, int64_t after, struct store_work *work)
{
    sqlite3_stmt *row;
    *work = (struct store_work){0};
    int error = sqlite_find(sqlite_of_store(store),
                            "SELECT id, path FROM temp.work WHERE id > ?1 ORDER BY id LIMIT 1",
                            &row, "i", after);
    if (error || !row)
        return error;
    *work = (struct store_work){.number = sqlite3_column_int64(row, 0),
                                .path = string_format("%s", sqlite_text(row, 1))};
    sqlite3_reset(row);
    return work->path ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for a path");
}

static int count_below(struct store *store, const char *path, uint64_t *count)
{
    int64_t number;
    int error = sqlite_find_number(sqlite_of_store(store),
                                   "SELECT count(*) FROM file WHERE missing = 0 AND " SQLITE_BELOW,
                                   0, &number, "p", path);
    *count = (uint64_t)number;
    return error;
}

static int mark_missing(struct store *store, const char *path, int64_t now)
{
    int error = sqlite_run(sqlite_of_store(store),
                           "UPDATE file SET missing = ?2 WHERE missing = 0 AND " SQLITE_BELOW
                           " AND id NOT IN (SELECT id FROM temp.seen)",
                           "pi", path, now);
    return error ? error
                 : sqlite_run(sqlite_of_store(store),
                              "UPDATE file SET missing = 0 WHERE missing <> 0 AND " SQLITE_BELOW
                              " AND id IN (SELECT id FROM temp.seen)",
                              "p", path);
}

static int count_marked(struct store *store, int64_t now, uint64_t *count)
{
    int64_t number;
    int error =
        sqlite_find_number(sqlite_of_store(store), "SELECT count(*) FROM file WHERE missing = ?1",
                           0, &number, "i", now);
    *count = (uint64_t)number;
    return error;
}

static int count_indexed(struct store *store, const char *path, int64_t model, uint64_t *indexed,
                         uint64_t *failed)
{
    sqlite3_stmt *row;
    int error = sqlite_find(
        sqlite_of_store(store),
        "SELECT total(EXISTS(SELECT 1 FROM vector WHERE vector.id = " SQLITE_KEY(
            "?2",
            "content") ")), total(file.error <> 0 OR coalesce(content.error, 0) <> 0)"
                       " FROM file LEFT JOIN content ON content.id = file.content WHERE missing "
                       "= 0 AND " SQLITE_BELOW,
        &row, "pi", path, model);
    *indexed = row ? (uint64_t)sqlite3_column_int64(row, 0) : 0;
    *failed = row ? (uint64_t)sqlite3_column_int64(row, 1) : 0;
    if (row)
        sqlite3_reset(row);
    return error;
}

const struct store_writers sqlite_writers = {
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .put_model = put_model,
    .put_root = put_root,
    .put_distinct_pair = put_distinct_pair,
    .put_content = put_content,
    .put_file = put_file,
    .take_missing = take_missing,
    .put_facts = put_facts,
    .put_thumbnail = put_thumbnail,
    .put_vector = put_vector,
    .fail_content = fail_content,
    .remove_files = remove_files,
    .compact = compact,
    .prune = prune,
    .add_hnsw = add_hnsw,
    .start_pass = start_pass,
    .see_file = see_file,
    .see_folder = see_folder,
    .add_work = add_work,
    .next_work = next_work,
    .count_below = count_below,
    .mark_missing = mark_missing,
    .count_marked = count_marked,
    .count_indexed = count_indexed,
};
#else
typedef int sqlite_write_is_left_out; /* A file of C must declare something. */
#endif
