/* SPDX-License-Identifier: MIT
 *
 * The functions of the SQL stores that write. One transaction writes at a time: they take
 * milliseconds, and two that wrote vectors at once could commit them in another order than that of
 * their ids, so that copies of the vectors would miss some.
 */
#include "search/sql_store.h"
#include "base/array.h"

/* ---- Transactions ---------------------------------------------------------------------------- */

static void rollback(struct store *store)
{
    database_rollback(sql_database(store));
}

static int begin(struct store *store)
{
    sql_store(store)->model = 0;
    int error = database_execute(sql_database(store), sql_text(store, SQL_BEGIN_WRITE));
    if (error)
        rollback(store);
    return error;
}

static int put_generation(struct store *store)
{
    struct sql_store *sql = sql_store(store);
    int error = VKCLIP_OK;
    if (sql->model)
        error = database_run(sql->database, sql_text(store, SQL_PUT_GENERATION), NULL, "iii",
                             sql->model, sql->changes, (int64_t)sql->rewritten);
    sql->model = 0;
    return error;
}

static int commit(struct store *store)
{
    int error = put_generation(store);
    return error ? error : database_execute(sql_database(store), sql_text(store, SQL_COMMIT));
}

/* ---- Models and their vectors ---------------------------------------------------------------- */

static int put_model(struct store *store, const struct vkclip_index_model *model, int64_t *id)
{
    struct row row;
    int error = sql_readers.find_model(store, model->identity, id);
    if (error || *id)
        return error;
    error =
        database_find(sql_database(store), sql_text(store, SQL_FIND_NAME), &row, "p", model->name);
    if (row.rows)
        error =
            error_fail(VKCLIP_EINVALID,
                       "%s: has vectors of other weights or another preparation of pictures "
                       "under the name %s (identity %.8s, this model's is %.8s): use another "
                       "index",
                       sql_database(store)->name, model->name, row_text(&row, 0), model->identity);
    row_release(&row);
    /* Without a random number, a copy of the vectors of an index that was here before, and since
     * then deleted, could pass for one of this index. */
    return error ? error
                 : database_find_number(sql_database(store), sql_text(store, SQL_PUT_MODEL), 0, id,
                                        "tpi", model->identity, model->name,
                                        (int64_t)model->embed_dim);
}

/* Notes which model's vectors change, and where they ended before. */
static int use_model(struct store *store, int64_t model)
{
    struct sql_store *sql = sql_store(store);
    struct store_generation generation = {0};
    if (sql->model == model)
        return VKCLIP_OK;
    int error = put_generation(store);
    if (!error)
        error = sql_readers.read_generation(store, model, &generation);
    if (!error)
        error = database_find_number(sql->database, sql_text(store, SQL_FIND_LAST_VECTOR), 0,
                                     &sql->last, "i", model);
    sql->model = error ? 0 : model;
    sql->changes = generation.changes;
    sql->rewritten = false;
    return error;
}

static int put_vector(struct store *store, int64_t content, int64_t model, const uint16_t *row,
                      size_t dim)
{
    struct sql_store *sql = sql_store(store);
    int error = use_model(store, model);
    if (error)
        return error;
    sql->changes = store_add_vector(sql->changes, content, row, dim);
    sql->rewritten |= content <= sql->last;
    sql->last = content > sql->last ? content : sql->last;
    return database_run(sql->database, sql_text(store, SQL_PUT_VECTOR), NULL, "iih", content, model,
                        row, dim);
}

/* ---- Contents -------------------------------------------------------------------------------- */

static int put_distinct_pair(struct store *store, int64_t a, int64_t b)
{
    return database_run(sql_database(store), sql_text(store, SQL_PUT_DISTINCT_PAIR), NULL, "ii",
                        a < b ? a : b, a < b ? b : a);
}

static int put_content(struct store *store, const struct store_hash *hash, int64_t *id)
{
    const size_t size = sizeof(hash->bytes);
    int error = database_find_number(sql_database(store), sql_text(store, SQL_FIND_HASH), 0, id,
                                     "b", hash->bytes, size);
    if (error || *id)
        return error;
    return database_find_number(sql_database(store), sql_text(store, SQL_PUT_CONTENT), 0, id, "b",
                                hash->bytes, size);
}

static int put_facts(struct store *store, int64_t content, const struct image_facts *facts)
{
    return database_run(sql_database(store), sql_text(store, SQL_PUT_FACTS), NULL, "ittiiiirr",
                        content, facts->format, *facts->camera ? facts->camera : NULL,
                        (int64_t)facts->width, (int64_t)facts->height, (int64_t)facts->orientation,
                        facts->taken, facts->latitude, facts->longitude);
}

static int put_thumbnail(struct store *store, int64_t content, const void *data, size_t size)
{
    return database_run(sql_database(store), sql_text(store, SQL_PUT_THUMBNAIL), NULL, "ib",
                        content, data, size);
}

static int fail_content(struct store *store, int64_t content, int error, const char *message)
{
    return database_run(sql_database(store), sql_text(store, SQL_FAIL_CONTENT), NULL, "iit",
                        content, (int64_t)error, message);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static int put_root(struct store *store, const char *path)
{
    return database_run(sql_database(store), sql_text(store, SQL_PUT_ROOT), NULL, "p", path);
}

static int put_file(struct store *store, const char *path, const struct store_stamp *stamp,
                    int64_t content, int failure, const char *message, int64_t *before)
{
    int error = database_find_number(sql_database(store), sql_text(store, SQL_FIND_FILE), -1,
                                     before, "p", path);
    if (!error)
        error = database_run(sql_database(store), sql_text(store, SQL_PUT_FILE), NULL, "piiiiiit",
                             path, (int64_t)stamp->size, (int64_t)stamp->inode, stamp->modified,
                             stamp->changed, content, (int64_t)failure, message);
    return error;
}

static int take_missing(struct store *store, int64_t content, bool *taken)
{
    uint64_t changed;
    int error = database_run(sql_database(store), sql_text(store, SQL_TAKE_MISSING), &changed, "i",
                             content);
    *taken = changed > 0;
    return error;
}

static int remove_files(struct store *store, const char *path, uint64_t *removed)
{
    int error =
        database_run(sql_database(store), sql_text(store, SQL_REMOVE_FILES), removed, "p", path);
    return error ? error
                 : database_run(sql_database(store), sql_text(store, SQL_REMOVE_ROOTS), NULL, "p",
                                path);
}

static int compact(struct store *store)
{
    return database_execute(sql_database(store), sql_text(store, SQL_COMPACT));
}

static int prune(struct store *store, uint64_t *removed)
{
    static const enum sql_statement unused[] = {SQL_PRUNE_CONTENTS, SQL_PRUNE_VECTORS,
                                                SQL_PRUNE_MODELS};
    int error = database_run(sql_database(store), sql_text(store, SQL_PRUNE_FILES), removed, "");
    for (size_t i = 0; i < ARRAY_COUNT(unused) && !error; i++)
        error = database_run(sql_database(store), sql_text(store, unused[i]), NULL, "");
    return error;
}

const struct store_writers sql_writers = {
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
    .see_file = sql_see_file,
    .see_folder = sql_see_folder,
    .each_unseen = sql_each_unseen,
    .count_below = sql_count_below,
    .mark_missing = sql_mark_missing,
    .count_marked = sql_count_marked,
    .count_indexed = sql_count_indexed,
};
