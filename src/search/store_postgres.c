/* SPDX-License-Identifier: MIT
 *
 * The store that is a schema `vkclip` of a PostgreSQL database, which several machines may use at
 * the same time. It has the tables of the SQLite store, which docs/search.md describes. Schemas of
 * other programs and of newer versions are told by its table `version`.
 */
#include "search/postgres_store.h"
#include "base/string.h"

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

/* ---- Opening --------------------------------------------------------------------------------- */

static void close_store(struct store *store)
{
    postgres_end_pass((struct postgres_store *)store);
    postgres_close(postgres_of_store(store));
    free(store);
}

/* Reads the version of the tables: 0 in a database without the schema, -1 in a schema of another
 * program. */
static int read_version(struct postgres *postgres, int64_t *version)
{
    int64_t tables;
    *version = 0;
    int error = postgres_find_number(
        postgres,
        "SELECT CASE WHEN to_regnamespace('vkclip') IS NULL THEN 0"
        " WHEN to_regclass('vkclip.version') IS NULL THEN -1 ELSE 1 END::bigint",
        0, &tables, "");
    if (error || tables <= 0) {
        *version = tables;
        return error;
    }
    return postgres_find_number(postgres, "SELECT number::bigint FROM vkclip.version", -1, version,
                                "");
}

/* Chooses the type of vectors. Where pgvector is installed on the server but not in this database,
 * it is added, if this user may. */
static int choose_type(struct postgres *postgres, const char **type)
{
    int64_t found;
    PQclear(PQexec(postgres->connection, "CREATE EXTENSION IF NOT EXISTS vector SCHEMA public"));
    int error = postgres_execute(postgres, find_schemas);
    if (!error)
        error = postgres_find_number(
            postgres, "SELECT (to_regtype('halfvec') IS NOT NULL)::int::bigint", 0, &found, "");
    if (error)
        return error;
    *type = found ? "halfvec" : "bytea";
    if (!found)
        log_message(VKCLIP_LOG_INFO,
                    "%s: has no pgvector 0.7 or newer; embeddings are kept as plain bytes, for "
                    "which there is no HNSW index",
                    postgres->name);
    return VKCLIP_OK;
}

/* Makes the tables as one transaction: another process may do the same now. */
static int make_tables(struct postgres_store *store)
{
    struct postgres *postgres = &store->postgres;
    const char *type = NULL;
    int64_t version = 0;
    char *text = NULL;
    int error = choose_type(postgres, &type);
    if (!error) {
        text = string_format(schema, VERSION, type);
        error = text ? store->store.write->begin(&store->store)
                     : error_fail(VKCLIP_EMEMORY, "%s: out of memory", postgres->name);
    }
    if (!error)
        error = read_version(postgres, &version);
    if (!error && !version)
        error = postgres_execute(postgres, text);
    if (!error)
        error = store->store.write->commit(&store->store);
    free(text);
    return error;
}

/* Checks whose tables they are. */
static int check_tables(struct postgres_store *store, bool read_only)
{
    const char *name = store->postgres.name;
    int64_t version;
    int error = read_version(&store->postgres, &version);
    if (!error && !version && !read_only) {
        error = make_tables(store);
        if (!error)
            error = read_version(&store->postgres, &version);
    }
    if (error)
        return error;
    if (!version)
        return error_fail(VKCLIP_EIO, "%s: the database has no index yet", name);
    if (version < 0)
        return error_fail(VKCLIP_EFORMAT,
                          "%s: expected an index of vkclip, found another program's schema vkclip",
                          name);
    if (version > VERSION)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: an index of version %lld, of a newer vkclip; this one knows version "
                          "%d",
                          name, (long long)version, VERSION);
    return VKCLIP_OK;
}

int store_open_postgres(const char *name, bool read_only, struct store **result)
{
    struct postgres_store *store = calloc(1, sizeof(*store));
    if (!store)
        return error_fail(VKCLIP_EMEMORY, "out of memory for an index");
    store->store = (struct store){close_store, &postgres_readers, &postgres_writers};
    *result = &store->store;
    int error = postgres_open(name, &store->postgres);
    if (!error)
        error = postgres_execute(&store->postgres, "SET lock_timeout = '30s'");
    if (!error && read_only)
        error = postgres_execute(&store->postgres, "SET default_transaction_read_only = on");
    if (!error)
        error = postgres_execute(&store->postgres, find_schemas);
    if (!error)
        error = check_tables(store, read_only);
    if (error)
        store_close(result);
    return error;
}
