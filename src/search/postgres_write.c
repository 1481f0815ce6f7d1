/* SPDX-License-Identifier: MIT
 *
 * The functions of the PostgreSQL store that write. One transaction writes at a time, as in SQLite:
 * they take milliseconds, and two that wrote vectors at once could commit them in another order
 * than that of their ids, so that copies of the vectors would miss some.
 */
#include "search/postgres_store.h"

#include <stdio.h>

/* ---- Transactions ---------------------------------------------------------------------------- */

static void rollback(struct store *store)
{
    PQclear(PQexec(postgres_of_store(store)->connection, "ROLLBACK"));
}

static int begin(struct store *store)
{
    ((struct postgres_store *)store)->model = 0;
    int error = postgres_execute(postgres_of_store(store), "BEGIN");
    if (!error)
        error = postgres_execute(postgres_of_store(store),
                                 "SELECT pg_advisory_xact_lock(" POSTGRES_LOCK ")");
    if (error)
        rollback(store);
    return error;
}

/* A number that a copy of the vectors does not have by chance. */
#define RANDOM "(random() * 140737488355328)::bigint"

static int put_generation(struct store *store)
{
    struct postgres_store *postgres = (struct postgres_store *)store;
    int error = VKCLIP_OK;
    if (postgres->model)
        error = postgres_run(postgres_of_store(store),
                             "UPDATE model SET changes = $2, rewrites = CASE WHEN $3::bigint <> 0"
                             " THEN " RANDOM " ELSE rewrites END WHERE id = $1",
                             NULL, "iii", postgres->model, postgres->changes,
                             (int64_t)postgres->rewritten);
    postgres->model = 0;
    return error;
}

static int commit(struct store *store)
{
    int error = put_generation(store);
    return error ? error : postgres_execute(postgres_of_store(store), "COMMIT");
}

/* ---- Writing --------------------------------------------------------------------------------- */

static int refuse_model(struct store *store, const struct vkclip_index_model *model,
                        const char *identity)
{
    return error_fail(VKCLIP_EINVALID,
                      "%s: has vectors of other weights or another preparation of pictures under "
                      "the name %s (identity %.8s, this model's is %.8s): use another index",
                      postgres_of_store(store)->name, model->name, identity, model->identity);
}

static int put_model(struct store *store, const struct vkclip_index_model *model, int64_t *id)
{
    PGresult *rows;
    int error = postgres_readers.find_model(store, model->identity, id);
    if (error || *id)
        return error;
    error = postgres_find(postgres_of_store(store), "SELECT identity FROM model WHERE name = $1",
                          &rows, "p", model->name);
    if (!error && PQntuples(rows))
        error = refuse_model(store, model, postgres_text((struct postgres_row){rows, 0}, 0));
    PQclear(rows);
    /* Without a random number, a copy of the vectors of an index that was here before, and since
     * then deleted, could pass for one of this index. */
    if (!error)
        error = postgres_find_number(postgres_of_store(store),
                                     "INSERT INTO model(identity, name, dim, rewrites) VALUES($1,"
                                     " $2, $3, " RANDOM ") RETURNING id",
                                     0, id, "tpi", model->identity, model->name,
                                     (int64_t)model->embed_dim);
    return error;
}

static int put_root(struct store *store, const char *path)
{
    return postgres_run(postgres_of_store(store),
                        "INSERT INTO root VALUES($1) ON CONFLICT DO NOTHING", NULL, "p", path);
}

static int put_distinct_pair(struct store *store, int64_t a, int64_t b)
{
    return postgres_run(postgres_of_store(store),
                        "INSERT INTO distinct_pair VALUES(least($1, $2), greatest($1, $2))"
                        " ON CONFLICT DO NOTHING",
                        NULL, "ii", a, b);
}

static int put_content(struct store *store, const struct store_hash *hash, int64_t *id)
{
    const size_t size = sizeof(hash->bytes);
    int error =
        postgres_find_number(postgres_of_store(store), "SELECT id FROM content WHERE hash = $1", 0,
                             id, "b", hash->bytes, size);
    if (error || *id)
        return error;
    return postgres_find_number(postgres_of_store(store),
                                "INSERT INTO content(hash) VALUES($1) RETURNING id", 0, id, "b",
                                hash->bytes, size);
}

static int put_file(struct store *store, const char *path, const struct store_stamp *stamp,
                    int64_t content, int failure, const char *message, int64_t *before)
{
    int error = postgres_find_number(postgres_of_store(store),
                                     "SELECT coalesce(content, 0) FROM file WHERE path = $1", -1,
                                     before, "p", path);
    if (!error)
        error = postgres_run(
            postgres_of_store(store),
            "INSERT INTO file(path, size, inode, modified, changed, content, error, message,"
            " written) VALUES($1, $2, $3, $4, $5, nullif($6, 0), $7, $8, " POSTGRES_CLOCK ")"
            " ON CONFLICT(path) DO UPDATE SET size = excluded.size, inode = excluded.inode,"
            " modified = excluded.modified, changed = excluded.changed,"
            " content = excluded.content, error = excluded.error, message = excluded.message,"
            " written = excluded.written, missing = 0",
            NULL, "piiiiiit", path, (int64_t)stamp->size, (int64_t)stamp->inode, stamp->modified,
            stamp->changed, content, (int64_t)failure, message);
    return error ? error : postgres_end_work((struct postgres_store *)store, path);
}

static int take_missing(struct store *store, int64_t content, bool *taken)
{
    uint64_t changed;
    int error = postgres_run(postgres_of_store(store),
                             "DELETE FROM file WHERE id = (SELECT id FROM file WHERE content = $1"
                             " AND missing <> 0 ORDER BY missing DESC, path LIMIT 1)",
                             &changed, "i", content);
    *taken = changed > 0;
    return error;
}

static int put_facts(struct store *store, int64_t content, const struct store_facts *facts)
{
    return postgres_run(postgres_of_store(store),
                        "UPDATE content SET format = $2, camera = $3, width = $4, height = $5,"
                        " orientation = $6, taken = nullif($7, '-9223372036854775808'::bigint),"
                        " latitude = $8, longitude = $9, error = 0, message = NULL WHERE id = $1",
                        NULL, "ittiiiirr", content, facts->format, facts->camera,
                        (int64_t)facts->width, (int64_t)facts->height, (int64_t)facts->orientation,
                        facts->taken, facts->latitude, facts->longitude);
}

static int put_thumbnail(struct store *store, int64_t content, const void *data, size_t size)
{
    return postgres_run(postgres_of_store(store),
                        "INSERT INTO thumbnail VALUES($1, $2)"
                        " ON CONFLICT(content) DO UPDATE SET data = excluded.data",
                        NULL, "ib", content, data, size);
}

/* Notes which model's vectors change, and where they ended before. */
static int use_model(struct store *store, int64_t model)
{
    struct postgres_store *postgres = (struct postgres_store *)store;
    struct store_generation generation = {0};
    if (postgres->model == model)
        return VKCLIP_OK;
    int error = put_generation(store);
    if (!error)
        error = postgres_readers.read_generation(store, model, &generation);
    if (!error)
        error = postgres_find_number(postgres_of_store(store),
                                     "SELECT coalesce(max(content), 0) FROM vector"
                                     " WHERE model = $1",
                                     0, &postgres->last, "i", model);
    postgres->model = error ? 0 : model;
    postgres->changes = generation.changes;
    postgres->rewritten = false;
    return error;
}

static int put_vector(struct store *store, int64_t content, int64_t model, const uint16_t *row,
                      size_t dim)
{
    struct postgres_store *postgres = (struct postgres_store *)store;
    int error = use_model(store, model);
    if (error)
        return error;
    postgres->changes = store_add_vector(postgres->changes, content, row, dim);
    postgres->rewritten |= content <= postgres->last;
    postgres->last = content > postgres->last ? content : postgres->last;
    return postgres_run(postgres_of_store(store),
                        "INSERT INTO vector VALUES($1, $2, $3)"
                        " ON CONFLICT(model, content) DO UPDATE SET data = excluded.data",
                        NULL, "iih", model, content, row, dim);
}

static int fail_content(struct store *store, int64_t content, int error, const char *message)
{
    return postgres_run(postgres_of_store(store),
                        "UPDATE content SET error = $2, message = $3 WHERE id = $1", NULL, "iit",
                        content, (int64_t)error, message);
}

static int remove_files(struct store *store, const char *path, uint64_t *removed)
{
    struct postgres *postgres = postgres_of_store(store);
    int error =
        postgres_run(postgres, "DELETE FROM file WHERE " POSTGRES_BELOW, removed, "p", path);
    return error
               ? error
               : postgres_run(postgres, "DELETE FROM root WHERE " POSTGRES_BELOW, NULL, "p", path);
}

static int compact(struct store *store)
{
    return postgres_execute(postgres_of_store(store), "VACUUM file, content, vector, thumbnail");
}

static int prune(struct store *store, uint64_t *removed)
{
    static const char unused[] =
        "DELETE FROM content WHERE NOT EXISTS(SELECT 1 FROM file WHERE file.content = content.id);"
        "DELETE FROM vector WHERE NOT EXISTS(SELECT 1 FROM content"
        " WHERE content.id = vector.content);"
        "UPDATE model SET changes = " RANDOM ", rewrites = " RANDOM ";";
    struct postgres *postgres = postgres_of_store(store);
    int error = postgres_run(postgres, "DELETE FROM file WHERE missing <> 0", removed, "");
    return error ? error : postgres_execute(postgres, unused);
}

/* ---- The HNSW index -------------------------------------------------------------------------- */

/* The vectors of all models are in one table. The index of one has those of its length only. */
static int add_hnsw_of_model(struct postgres *postgres, int64_t model, int64_t dim)
{
    char text[320];
    snprintf(text, sizeof(text),
             "CREATE INDEX IF NOT EXISTS vector_hnsw_%lld ON vector"
             " USING hnsw ((data::halfvec(%lld)) halfvec_cosine_ops) WHERE model = %lld",
             (long long)model, (long long)dim, (long long)model);
    return postgres_execute(postgres, text);
}

static int add_hnsw(struct store *store)
{
    struct postgres *postgres = postgres_of_store(store);
    int64_t vectors, model = 0, dim;
    int error =
        postgres_find_number(postgres,
                             "SELECT count(*) FROM pg_attribute WHERE attrelid = 'vector'::regclass"
                             " AND attname = 'data' AND atttypid = to_regtype('halfvec')",
                             0, &vectors, "");
    if (!error && !vectors)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: has no HNSW index: the database had no pgvector 0.7 or newer when "
                          "the index was made",
                          postgres->name);
    do {
        if (!error)
            error = postgres_find_number(postgres,
                                         "SELECT coalesce(min(id), 0) FROM model WHERE id > $1", 0,
                                         &model, "i", model);
        if (!error)
            error = postgres_find_number(postgres, "SELECT dim FROM model WHERE id = $1", 0, &dim,
                                         "i", model);
        if (!error && model)
            error = add_hnsw_of_model(postgres, model, dim);
    } while (!error && model);
    return error;
}

/* ---- Counts of a pass ------------------------------------------------------------------------ */

static int count_below(struct store *store, const char *path, uint64_t *count)
{
    int64_t number;
    int error = postgres_find_number(
        postgres_of_store(store), "SELECT count(*) FROM file WHERE missing = 0 AND " POSTGRES_BELOW,
        0, &number, "p", path);
    *count = (uint64_t)number;
    return error;
}

static int count_marked(struct store *store, int64_t now, uint64_t *count)
{
    int64_t number;
    int error =
        postgres_find_number(postgres_of_store(store),
                             "SELECT count(*) FROM file WHERE missing = $1", 0, &number, "i", now);
    *count = (uint64_t)number;
    return error;
}

static int count_indexed(struct store *store, const char *path, int64_t model, uint64_t *indexed,
                         uint64_t *failed)
{
    PGresult *rows;
    int error = postgres_find(
        postgres_of_store(store),
        "SELECT count(*) FILTER (WHERE EXISTS(SELECT 1 FROM vector WHERE vector.model = $2"
        " AND vector.content = file.content)), count(*) FILTER (WHERE file.error <> 0"
        " OR coalesce(content.error, 0) <> 0) FROM file"
        " LEFT JOIN content ON content.id = file.content WHERE missing = 0 AND " POSTGRES_BELOW,
        &rows, "pi", path, model);
    *indexed = error ? 0 : (uint64_t)postgres_number((struct postgres_row){rows, 0}, 0);
    *failed = error ? 0 : (uint64_t)postgres_number((struct postgres_row){rows, 0}, 1);
    PQclear(rows);
    return error;
}

const struct store_writers postgres_writers = {
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
    .start_pass = postgres_start_pass,
    .see_file = postgres_see_file,
    .see_folder = postgres_see_folder,
    .add_work = postgres_add_work,
    .next_work = postgres_next_work,
    .count_below = count_below,
    .mark_missing = postgres_mark_missing,
    .count_marked = count_marked,
    .count_indexed = count_indexed,
};
