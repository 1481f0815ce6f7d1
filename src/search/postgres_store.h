/* SPDX-License-Identifier: MIT
 *
 * What the files of the PostgreSQL store share: store_postgres.c opens it and has its tables,
 * postgres_read.c, postgres_write.c and postgres_pass.c have its functions.
 */
#ifndef VKCLIP_SEARCH_POSTGRES_STORE_H
#define VKCLIP_SEARCH_POSTGRES_STORE_H

#include "search/postgres.h"
#include "search/store.h"

struct postgres_store {
    struct store store; /* comes first, because callers have a pointer to it */
    struct postgres postgres;
    /* What the open transaction has done to a model's vectors; model 0: nothing. */
    int64_t model, last; /* `last` is the content of the model's last vector */
    int64_t changes;     /* of the model's generation */
    bool rewritten;
    /* The pass: see postgres_pass.c. */
    struct postgres_pass {
        int64_t worker;  /* number of this process among those that index; 0: none yet */
        int64_t started; /* by the server's clock, in microseconds since 1970 */
        int64_t model;
        int64_t listed, asked; /* paths in the list of work; those that this process asked for */
        PGresult *claimed;     /* those that it got last; NULL: none */
        int next;              /* of them */
    } pass;
};

static inline struct postgres *postgres_of_store(struct store *store)
{
    return &((struct postgres_store *)store)->postgres;
}

/* Selects the path $1 and all paths below it: "/" is followed by "0" in the order of bytes. */
#define POSTGRES_BELOW                                           \
    "(path = $1 OR (path > rtrim($1, '\\x2f') || '\\x2f'::bytea" \
    " AND path < rtrim($1, '\\x2f') || '\\x30'::bytea))"

/* The server's clock. All processes of an index have the same. */
#define POSTGRES_CLOCK "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

/* The number of advisory locks in the database: that of writers, and of the processes that index
 * together with theirs. It is "vkcl". */
#define POSTGRES_LOCK "1986749292"

extern const struct store_readers postgres_readers;
extern const struct store_writers postgres_writers;

/* The functions of a pass: see store.h. */
int postgres_start_pass(struct store *store);
int postgres_see_file(struct store *store, const char *path, const struct store_stamp *stamp,
                      int64_t model, enum store_state *state);
int postgres_see_folder(struct store *store, const char *path);
int postgres_add_work(struct store *store, const char *path);
int postgres_next_work(struct store *store, int64_t after, struct store_work *work);
int postgres_mark_missing(struct store *store, const char *path, int64_t now);
/* Ends what the pass had claimed of a path, or of all. */
int postgres_end_work(struct postgres_store *store, const char *path);
void postgres_end_pass(struct postgres_store *store);

#endif
