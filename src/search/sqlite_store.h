/* SPDX-License-Identifier: MIT
 *
 * What the files of the SQLite store share: store_sqlite.c opens it and has its tables,
 * sqlite_read.c and sqlite_write.c have its functions.
 */
#ifndef VKCLIP_SEARCH_SQLITE_STORE_H
#define VKCLIP_SEARCH_SQLITE_STORE_H

#include "search/sqlite.h"
#include "search/store.h"

struct sqlite_store {
    struct store store; /* comes first, because callers have a pointer to it */
    struct sqlite sqlite;
    /* What the open transaction has done to a model's vectors; model 0: nothing. */
    int64_t model, last; /* `last` is the key of the model's last vector */
    int64_t changes;     /* of the model's generation */
    bool rewritten;
};

static inline struct sqlite *sqlite_of_store(struct store *store)
{
    return &((struct sqlite_store *)store)->sqlite;
}

/* A vector's key has the model above its content, so that the vectors of a model lie together in
 * the order of ids. */
#define SQLITE_KEY(model, content) "((" model " << 40) + (" content "))"
enum { SQLITE_KEY_BITS = 40 };

/* Selects the path ?1 and all paths below it: "/" is followed by "0" in the order of bytes. */
#define SQLITE_BELOW                                                \
    "(path = ?1 OR (path > CAST(rtrim(?1, '/') || '/' AS BLOB) AND" \
    " path < CAST(rtrim(?1, '/') || '0' AS BLOB)))"

extern const struct store_readers sqlite_readers;
extern const struct store_writers sqlite_writers;

static inline const char *sqlite_text(sqlite3_stmt *row, int column)
{
    return (const char *)sqlite3_column_text(row, column);
}

#endif
