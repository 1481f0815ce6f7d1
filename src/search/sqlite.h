/* SPDX-License-Identifier: MIT
 *
 * A connection to one SQLite file: opens it, runs statements, and says in words what went wrong.
 * Files of store_sqlite.c and of rclip are opened by it. Refuses files that are no databases.
 */
#ifndef VKCLIP_SEARCH_SQLITE_H
#define VKCLIP_SEARCH_SQLITE_H

#include "base/error.h"

#include <sqlite3.h>

struct sqlite {
    sqlite3 *database;
    char *path; /* for messages */
    struct sqlite_statement {
        const char *text;
        sqlite3_stmt *statement;
    } statements[48]; /* those that are kept */
};

enum sqlite_mode { SQLITE_MODE_READ, SQLITE_MODE_CREATE };

/* Opens a database. After an error the connection is closed. */
int sqlite_open(const char *path, enum sqlite_mode mode, struct sqlite *sqlite);
void sqlite_close(struct sqlite *sqlite);
/* Returns the error that a result code of SQLite means, with its message. */
int sqlite_fail(const struct sqlite *sqlite, int code);

/* Runs statements that have no values and no results. */
int sqlite_execute(const struct sqlite *sqlite, const char *text);

/* The functions below take the text of a statement and its values. Texts are constants: a statement
 * is kept and found again by the address of its text. `types` has a letter per value:
 *   i  int64_t
 *   r  double; NAN becomes NULL
 *   t  const char *, a text in UTF-8 or NULL
 *   p  const char *, a path, stored as its bytes
 *   b  const void * and size_t, bytes */

/* Runs a statement. */
int sqlite_run(struct sqlite *sqlite, const char *text, const char *types, ...);
/* Finds the first row of a statement; *row is NULL if it has none. The caller resets the statement
 * with sqlite3_reset when it has read the row. */
int sqlite_find(struct sqlite *sqlite, const char *text, sqlite3_stmt **row, const char *types,
                ...);
/* Reads the one number of a statement; `fallback` where it has no row. */
int sqlite_find_number(struct sqlite *sqlite, const char *text, int64_t fallback, int64_t *number,
                       const char *types, ...);
/* Calls `fn` for each row of a statement that is prepared for it alone, until the function returns
 * a nonzero number, which is returned. */
typedef int sqlite_row_fn(void *user, sqlite3_stmt *row);
int sqlite_each(const struct sqlite *sqlite, const char *text, sqlite_row_fn *fn, void *user,
                const char *types, ...);

#endif
