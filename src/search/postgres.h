/* SPDX-License-Identifier: MIT
 *
 * A connection to one PostgreSQL database: opens it, runs statements, and says in words what went
 * wrong. Messages name the database without its password. Refuses servers before version 14 and
 * databases whose texts are not in UTF-8.
 */
#ifndef VKCLIP_SEARCH_POSTGRES_H
#define VKCLIP_SEARCH_POSTGRES_H

#include "search/postgres_values.h"

struct postgres {
    PGconn *connection;
    char *name;                 /* for messages */
    const char *statements[64]; /* those that the server has prepared */
    unsigned cursors;           /* how many were opened */
};

/* Connects to the database of a URI. After an error the connection is closed. */
int postgres_open(const char *uri, struct postgres *postgres);
void postgres_close(struct postgres *postgres);

/* Runs statements that have no values and no results. */
int postgres_execute(struct postgres *postgres, const char *text);

/* The functions below take the text of a statement and its values, with a letter per value as
 * postgres_values.h has them. Texts are constants: a statement is kept and found again by the
 * address of its text. */

/* Runs a statement; *changed, if it is asked for, is the number of rows that it has changed. */
int postgres_run(struct postgres *postgres, const char *text, uint64_t *changed, const char *types,
                 ...);
/* Finds the rows of a statement, which must be few. The caller frees them with PQclear. */
int postgres_find(struct postgres *postgres, const char *text, PGresult **rows, const char *types,
                  ...);
/* Reads the one number of a statement; `fallback` where it has no row. */
int postgres_find_number(struct postgres *postgres, const char *text, int64_t fallback,
                         int64_t *number, const char *types, ...);

/* Calls `fn` for each row of a statement, until the function returns a nonzero number, which is
 * returned. The function may use the connection. */
typedef int postgres_row_fn(void *user, struct postgres_row row);
int postgres_each(struct postgres *postgres, const char *text, postgres_row_fn *fn, void *user,
                  const char *types, ...);

#endif
