/* SPDX-License-Identifier: MIT
 *
 * The store that is a schema `vkclip` of a PostgreSQL database, which several machines may use at
 * the same time. It has the tables of the SQLite store, which docs/search.md describes. Schemas of
 * other programs and of newer versions are told by its table `version`.
 */
#include "base/memory.h"
#include "search/postgres_store.h"
#include "base/string.h"

#include <stdio.h>
#include <stdlib.h>

enum { VERSION = 1 };

/* The vectors are of pgvector's type halfvec where the server has it, and else its binary form. */
static const char schema[] =
    "CREATE SCHEMA vkclip;"
    "CREATE TABLE vkclip.version(number bigint NOT NULL);"
    "INSERT INTO vkclip.version VALUES(%d);"
    "CREATE TABLE vkclip.root(path bytea PRIMARY KEY);"
    "CREATE TABLE vkclip.content(id bigserial PRIMARY KEY, hash bytea NOT NULL UNIQUE,"
    " width bigint, height bigint, orientation bigint, format text, taken bigint, camera text,"
    " latitude double precision, longitude double precision, error bigint NOT NULL DEFAULT 0,"
    " message text);"
    "CREATE TABLE vkclip.file(id bigserial PRIMARY KEY, path bytea NOT NULL UNIQUE,"
    " size bigint NOT NULL, inode bigint NOT NULL, modified bigint NOT NULL,"
    " changed bigint NOT NULL, content bigint REFERENCES vkclip.content(id),"
    " error bigint NOT NULL DEFAULT 0, message text, missing bigint NOT NULL DEFAULT 0,"
    " written bigint NOT NULL);"
    "CREATE INDEX file_content ON vkclip.file(content, missing);"
    "CREATE TABLE vkclip.model(id bigserial PRIMARY KEY, identity text NOT NULL UNIQUE,"
    " name bytea NOT NULL UNIQUE, dim bigint NOT NULL, changes bigint NOT NULL DEFAULT 0,"
    " rewrites bigint NOT NULL DEFAULT 0);"
    "CREATE TABLE vkclip.vector(model bigint NOT NULL, content bigint NOT NULL,"
    " data %s NOT NULL, PRIMARY KEY(model, content));"
    "ALTER TABLE vkclip.vector ALTER data SET STORAGE EXTERNAL;" /* fp16 cannot be compressed. */
    "CREATE TABLE vkclip.thumbnail(content bigint PRIMARY KEY REFERENCES vkclip.content(id)"
    " ON DELETE CASCADE, data bytea NOT NULL);"
    "CREATE TABLE vkclip.distinct_pair(a bigint NOT NULL REFERENCES vkclip.content(id)"
    " ON DELETE CASCADE, b bigint NOT NULL REFERENCES vkclip.content(id) ON DELETE CASCADE,"
    " PRIMARY KEY(a, b));"
    "CREATE TABLE vkclip.work(path bytea NOT NULL, model bigint NOT NULL,"
    " worker bigint NOT NULL DEFAULT 0, PRIMARY KEY(path, model));"
    "CREATE SEQUENCE vkclip.worker MAXVALUE 2147483647 CYCLE;";

/* Where tables are looked for. pgvector's schema is often public, but not always. */
static const char find_schemas[] =
    "SELECT set_config('search_path', 'vkclip, public' || coalesce((SELECT ', ' ||"
    " quote_ident(nspname) FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
    " WHERE extname = 'vector'), ''), false)";

/* ---- Statements ------------------------------------------------------------------------------ */

#define BEGIN_READ "BEGIN ISOLATION LEVEL REPEATABLE READ"
#define BEGIN_WRITE "BEGIN; SELECT pg_advisory_xact_lock(" POSTGRES_LOCK ")"
#define COMPACT "VACUUM file, content, vector, thumbnail"
#define BYTES                                                       \
    "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class" \
    " WHERE relnamespace = 'vkclip'::regnamespace AND relkind = 'r'"
/* "/" is followed by "0" in the order of bytes. Below "/" itself are all paths: those of Windows
 * begin with the letter of a drive. */
#define BELOW                                                    \
    "(path = $1 OR (path > rtrim($1, '\\x2f') || '\\x2f'::bytea" \
    " AND path < CASE rtrim($1, '\\x2f') WHEN '' THEN '\\xff'"   \
    " ELSE rtrim($1, '\\x2f') || '\\x30'::bytea END))"
#define BY_CONTENT ""
#define NAME(value) value
/* A number that a copy of the vectors does not have by chance. */
#define RANDOM "(random() * 140737488355328)::bigint"
#define VECTOR_KEY "model, content"
#define VECTOR_ORDER "vector.content"
#define VECTOR_CONTENT "vector.content"
#define KEY_OF(model, content) model ", " content
#define VECTOR_OF(model, content) "vector.model = " model " AND vector.content = " content
#define VECTORS_AFTER(model, content) "vector.model = " model " AND vector.content > " content
#define ON_SERVER(text) text
#define CLOCK POSTGRES_CLOCK
#define WRITTEN_BEFORE(start) "file.written < " start
#define SEEN_KEY "path"
#define SEE_ID NULL

static const char *const statements[SQL_STATEMENTS] = {
#define SQL_STATEMENT(name, text) [SQL_##name] = text,
#include "search/statements.def"
};

/* ---- The HNSW index -------------------------------------------------------------------------- */

/* Counts the HNSW indexes of a model's vectors that the server uses. One of the same name may be of
 * another kind, or invalid because its making was interrupted. */
static int count_hnsw(struct database *database, int64_t model, int64_t *count)
{
    return database_find_number(database,
                                "SELECT count(*) FROM pg_index JOIN pg_class"
                                " ON pg_class.oid = indexrelid JOIN pg_am ON pg_am.oid = relam"
                                " WHERE indrelid = 'vector'::regclass AND amname = 'hnsw'"
                                " AND indisvalid"
                                " AND pg_get_expr(indpred, indrelid) = '(model = ' || $1 || ')'",
                                0, count, "i", model);
}

/* The vectors of all models are in one table. The index of one has those of its length only. */
static int add_hnsw_of_model(struct database *database, int64_t model, int64_t dim)
{
    char text[384];
    int64_t count;
    int error = count_hnsw(database, model, &count);
    if (error || count)
        return error;
    snprintf(text, sizeof(text),
             "DROP INDEX IF EXISTS vkclip.vector_hnsw_%lld;"
             "CREATE INDEX vector_hnsw_%lld ON vector"
             " USING hnsw ((data::halfvec(%lld)) halfvec_cosine_ops) WHERE model = %lld",
             (long long)model, (long long)model, (long long)dim, (long long)model);
    return database_execute(database, text);
}

static int add_hnsw(struct store *store)
{
    struct database *database = sql_database(store);
    int64_t vectors, model = 0, dim;
    int error =
        database_find_number(database,
                             "SELECT count(*) FROM pg_attribute WHERE attrelid = 'vector'::regclass"
                             " AND attname = 'data' AND atttypid = to_regtype('halfvec')",
                             0, &vectors, "");
    if (!error && !vectors)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: has no HNSW index: the database had no pgvector 0.7 or newer when "
                          "the index was made",
                          database->name);
    do {
        if (!error)
            error = database_find_number(database,
                                         "SELECT coalesce(min(id), 0) FROM model WHERE id > $1", 0,
                                         &model, "i", model);
        if (!error)
            error = database_find_number(database, "SELECT dim FROM model WHERE id = $1", 0, &dim,
                                         "i", model);
        if (!error && model)
            error = add_hnsw_of_model(database, model, dim);
    } while (!error && model);
    return error;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static void close_store(struct store *store)
{
    postgres_end_pass(store);
    postgres_close(&((struct postgres_store *)store)->postgres);
    memory_free(store);
}

/* Reads the version of the tables: 0 in a database without the schema, -1 in a schema of another
 * program. */
static int read_version(struct database *database, int64_t *version)
{
    int64_t tables;
    *version = 0;
    int error = database_find_number(
        database,
        "SELECT CASE WHEN to_regnamespace('vkclip') IS NULL THEN 0"
        " WHEN to_regclass('vkclip.version') IS NULL THEN -1 ELSE 1 END::bigint",
        0, &tables, "");
    if (error || tables <= 0) {
        *version = tables;
        return error;
    }
    return database_find_number(database, "SELECT number::bigint FROM vkclip.version", -1, version,
                                "");
}

/* Chooses the type of vectors. Where pgvector is installed on the server but not in this database,
 * it is added, if this user may. */
static int choose_type(struct postgres *postgres, const char **type)
{
    int64_t found;
    PQclear(PQexec(postgres->connection, "CREATE EXTENSION IF NOT EXISTS vector SCHEMA public"));
    int error = database_execute(&postgres->database, find_schemas);
    if (!error)
        error = database_find_number(&postgres->database,
                                     "SELECT (to_regtype('halfvec') IS NOT NULL)::int::bigint", 0,
                                     &found, "");
    if (error)
        return error;
    *type = found ? "halfvec" : "bytea";
    if (!found)
        log_message(VKCLIP_LOG_INFO,
                    "%s: has no pgvector 0.7 or newer; embeddings are kept as plain bytes, for "
                    "which there is no HNSW index",
                    postgres->database.name);
    return VKCLIP_OK;
}

/* Makes the tables as one transaction: another process may do the same now. */
static int make_tables(struct postgres_store *store)
{
    struct postgres *postgres = &store->postgres;
    struct store *writer = &store->sql.store;
    const char *type = NULL;
    int64_t version = 0;
    char *text = NULL;
    int error = choose_type(postgres, &type);
    if (!error) {
        text = string_format(schema, VERSION, type);
        error = text ? writer->write->begin(writer)
                     : error_fail(VKCLIP_EMEMORY, "%s: out of memory", postgres->database.name);
    }
    if (!error)
        error = read_version(&postgres->database, &version);
    if (!error && !version)
        error = database_execute(&postgres->database, text);
    if (!error)
        error = writer->write->commit(writer);
    memory_free(text);
    return error;
}

/* Checks whose tables they are. */
static int check_tables(struct postgres_store *store, bool read_only)
{
    const char *name = store->postgres.database.name;
    int64_t version;
    int error = read_version(store->sql.database, &version);
    if (!error && !version && !read_only) {
        error = make_tables(store);
        if (!error)
            error = read_version(store->sql.database, &version);
    }
    if (error)
        return error;
    if (!version)
        return error_fail(VKCLIP_EIO, "%s: the database has no index yet", name);
    if (version < 0)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: expected an index of vkclip, found another program's schema vkclip",
                          name);
    return sql_check_version(name, version, VERSION);
}

int store_open_postgres(const char *name, bool read_only, struct store **result)
{
    struct postgres_store *store = memory_calloc(1, sizeof(*store));
    if (!store)
        return error_fail(VKCLIP_EMEMORY, "out of memory for an index");
    struct sql_store *sql = &store->sql;
    *sql = (struct sql_store){.store = {close_store, &sql_readers, &sql->write},
                              .write = sql_writers,
                              .database = &store->postgres.database,
                              .statements = statements};
    sql->write.put_file = postgres_put_file;
    sql->write.start_pass = postgres_start_pass;
    sql->write.add_work = postgres_add_work;
    sql->write.next_work = postgres_next_work;
    sql->write.claim_content = postgres_claim_content;
    sql->write.drop_work = postgres_drop_work;
    sql->write.end_pass = postgres_end_pass;
    sql->write.add_hnsw = add_hnsw;
    *result = &sql->store;
    int error = postgres_open(name, &store->postgres);
    if (!error)
        error = database_execute(sql->database, "SET lock_timeout = '30s'");
    if (!error && read_only)
        error = database_execute(sql->database, "SET default_transaction_read_only = on");
    if (!error)
        error = database_execute(sql->database, find_schemas);
    if (!error)
        error = check_tables(store, read_only);
    if (error)
        store_close(result);
    return error;
}
