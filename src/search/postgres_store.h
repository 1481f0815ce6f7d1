/* SPDX-License-Identifier: MIT
 *
 * What the files of the PostgreSQL store share: store_postgres.c opens it and has its tables and
 * statements, postgres_pass.c what differs in a pass.
 */
#ifndef VKCLIP_SEARCH_POSTGRES_STORE_H
#define VKCLIP_SEARCH_POSTGRES_STORE_H

#include "search/postgres.h"
#include "search/sql_store.h"

struct postgres_store {
    struct sql_store sql; /* comes first, because callers have a pointer to it */
    struct postgres postgres;
    struct postgres_pass {
        int64_t worker;        /* number of this process among those that index; 0: none yet */
        int64_t listed, asked; /* paths in the list of work; those that this process asked for */
        struct row claimed;    /* the next of those that it got last; rows NULL: none */
    } pass;
};

/* The server's clock. All processes of an index have the same. */
#define POSTGRES_CLOCK "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

/* The number of advisory locks in the database: that of writers, and of the processes that index
 * together with theirs. It is "vkcl". */
#define POSTGRES_LOCK "1986749292"

/* Functions of postgres_pass.c: see store.h. */
int postgres_start_pass(struct store *store);
int postgres_add_work(struct store *store, const char *path);
int postgres_next_work(struct store *store, int64_t after, struct store_work *work);
int postgres_claim_content(struct store *store, const struct store_hash *hash, int64_t model,
                           bool *claimed);
int postgres_drop_work(struct store *store, const char *path, const struct store_hash *hash);
void postgres_end_pass(struct store *store);
/* Ends the claims of the path and the content, too. */
int postgres_put_file(struct store *store, const char *path, const struct store_stamp *stamp,
                      int64_t content, int failure, const char *message, int64_t *before);

#endif
