/* SPDX-License-Identifier: MIT
 *
 * The functions of the SQL stores for a pass over the files.
 */
#include "search/sql_store.h"
#include "base/string.h"

#include <stdio.h>

static enum store_state read_state(const struct row *row, const struct store_stamp *stamp)
{
    if ((uint64_t)row_number(row, 0) != stamp->size ||
        (uint64_t)row_number(row, 1) != stamp->inode || row_number(row, 2) != stamp->modified ||
        row_number(row, 3) != stamp->changed)
        return STORE_UNKNOWN;
    if (row_number(row, 4))
        return STORE_FAILED;
    return row_number(row, 5) ? STORE_INDEXED : STORE_INCOMPLETE;
}

int sql_see_file(struct store *store, const char *path, const struct store_stamp *stamp,
                 int64_t model, bool thumbnail, struct store_seen *seen)
{
    const char *see_id = sql_text(store, SQL_SEE_ID);
    struct row row;
    *seen = (struct store_seen){STORE_UNKNOWN, ""};
    sql_store(store)->pass_model = model;
    sql_store(store)->pass_thumbnail = thumbnail;
    int error = database_find(sql_database(store), sql_text(store, SQL_SEE_FILE), &row, "pii", path,
                              model, (int64_t)thumbnail);
    if (error || !row.rows)
        return error;
    seen->state = read_state(&row, stamp);
    snprintf(seen->message, sizeof(seen->message), "%s", row_text(&row, 7));
    const int64_t id = row_number(&row, 6);
    row_release(&row);
    return see_id ? database_run(sql_database(store), see_id, NULL, "i", id) : VKCLIP_OK;
}

int sql_see_folder(struct store *store, const char *path)
{
    return database_run(sql_database(store), sql_text(store, SQL_SEE_FOLDER), NULL, "p", path);
}

struct unseen {
    vkclip_folder_fn *fn;
    void *user;
};

static int give_unseen(void *user, const struct row *row)
{
    const struct unseen *unseen = user;
    return unseen->fn(unseen->user, row_text(row, 0));
}

int sql_each_unseen(struct store *store, const char *path, vkclip_folder_fn *fn, void *user)
{
    struct unseen unseen = {fn, user};
    return database_each(sql_database(store), sql_text(store, SQL_EACH_UNSEEN), give_unseen,
                         &unseen, "p", path);
}

int sql_read_work(const struct row *row, struct store_work *work)
{
    *work = (struct store_work){.number = row_number(row, 0),
                                .path = string_format("%s", row_text(row, 1))};
    return work->path ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for a path");
}

int sql_count_below(struct store *store, const char *path, uint64_t *count)
{
    int64_t number;
    int error = database_find_number(sql_database(store), sql_text(store, SQL_COUNT_BELOW), 0,
                                     &number, "p", path);
    *count = (uint64_t)number;
    return error;
}

/* A file that another process has written since this pass began is there, whether this one has seen
 * it or not. */
int sql_mark_missing(struct store *store, const char *path, int64_t now)
{
    int error = database_run(sql_database(store), sql_text(store, SQL_MARK_MISSING), NULL, "pii",
                             path, now, sql_store(store)->pass_started);
    return error ? error
                 : database_run(sql_database(store), sql_text(store, SQL_MARK_PRESENT), NULL, "p",
                                path);
}

int sql_count_marked(struct store *store, int64_t now, uint64_t *count)
{
    int64_t number;
    int error = database_find_number(sql_database(store), sql_text(store, SQL_COUNT_MARKED), 0,
                                     &number, "i", now);
    *count = (uint64_t)number;
    return error;
}

int sql_count_indexed(struct store *store, const char *path, int64_t model, uint64_t *indexed,
                      uint64_t *failed)
{
    struct row row;
    int error = database_find(sql_database(store), sql_text(store, SQL_COUNT_INDEXED), &row, "pi",
                              path, model);
    *indexed = row.rows ? (uint64_t)row_number(&row, 0) : 0;
    *failed = row.rows ? (uint64_t)row_number(&row, 1) : 0;
    row_release(&row);
    return error;
}
