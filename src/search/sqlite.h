/* SPDX-License-Identifier: MIT
 *
 * A connection to one SQLite file, which says in words what went wrong. Files of store_sqlite.c and
 * of rclip are opened by it. Refuses files that are no databases.
 */
#ifndef VKCLIP_SEARCH_SQLITE_H
#define VKCLIP_SEARCH_SQLITE_H

#include "search/database.h"

#include <sqlite3.h>

struct sqlite {
    struct database database; /* comes first, because callers have a pointer to it */
    sqlite3 *connection;
    double waits_until; /* when it gives up to wait for another process, see clock_seconds */
    bool cleans_up;     /* The call was cancelled before the statement that runs, which ends it. */
    struct sqlite_statement {
        const char *text;
        sqlite3_stmt *statement;
    } statements[64]; /* those that are kept */
};

enum sqlite_mode { SQLITE_MODE_READ, SQLITE_MODE_CREATE };

/* Opens a database. After an error the connection is closed. */
int sqlite_open(const char *path, enum sqlite_mode mode, struct sqlite *sqlite);
void sqlite_close(struct sqlite *sqlite);

#endif
