/* SPDX-License-Identifier: MIT
 *
 * The store that is an SQL database. sql_read.c, sql_write.c and sql_pass.c have its functions,
 * statements.def what they say to the database, and store_sqlite.c and store_postgres.c the words
 * and the functions in which the two databases differ.
 */
#ifndef VKCLIP_SEARCH_SQL_STORE_H
#define VKCLIP_SEARCH_SQL_STORE_H

#include "search/database.h"
#include "search/store.h"

enum sql_statement {
#define SQL_STATEMENT(name, text) SQL_##name,
#include "search/statements.def"
#undef SQL_STATEMENT
    SQL_STATEMENTS
};

/* Ids of contents are below two to the power of this, because a vector's key in SQLite has the
 * number of its model above them. */
enum { SQL_ID_BITS = 40 };

struct sql_store {
    struct store store; /* comes first, because callers have a pointer to it */
    struct store_writers write;
    struct database *database;
    const char *const *statements; /* [SQL_STATEMENTS] */
    /* What the open transaction has done to a model's vectors; model 0: nothing. */
    int64_t model, last; /* `last` is the content of the model's last vector */
    int64_t changes;     /* of the model's generation */
    bool rewritten;
    /* The pass. `pass_started` is by the server's clock, in microseconds since 1970, and in SQLite
     * the id of the last file that there was. */
    int64_t pass_model, pass_started;
    bool pass_thumbnail; /* Thumbnails are wanted, too. */
};

static inline struct sql_store *sql_store(struct store *store)
{
    return (struct sql_store *)store;
}

static inline struct database *sql_database(struct store *store)
{
    return sql_store(store)->database;
}

static inline const char *sql_text(struct store *store, enum sql_statement statement)
{
    return sql_store(store)->statements[statement];
}

extern const struct store_readers sql_readers;
/* Has the writers that all databases share. Each has its own for how a pass starts and ends, its
 * work and its claims, and add_hnsw. */
extern const struct store_writers sql_writers;

/* Refuses the index `name` of a version of the tables that is newer than the `known` one. */
int sql_check_version(const char *name, int64_t version, int64_t known);

/* Functions of sql_pass.c: see store.h. */
int sql_see_file(struct store *store, const char *path, const struct store_stamp *stamp,
                 int64_t model, bool thumbnail, struct store_seen *seen);
int sql_see_folder(struct store *store, const char *path);
int sql_each_unseen(struct store *store, const char *path, vkclip_folder_fn *fn, void *user);
int sql_count_below(struct store *store, const char *path, uint64_t *count);
int sql_mark_missing(struct store *store, const char *path, int64_t now);
int sql_count_marked(struct store *store, int64_t now, uint64_t *count);
int sql_count_indexed(struct store *store, const char *path, int64_t model, uint64_t *indexed,
                      uint64_t *failed);
/* Makes work of a row with a number and a path. */
int sql_read_work(const struct row *row, struct store_work *work);

#endif
