/* SPDX-License-Identifier: MIT
 *
 * A connection to an SQL database: runs statements and reads the rows that they give. What SQLite
 * (sqlite.c) and PostgreSQL (postgres.c) do differently is behind a table of functions.
 */
#ifndef VKCLIP_SEARCH_DATABASE_H
#define VKCLIP_SEARCH_DATABASE_H

#include "base/error.h"

#include <stdarg.h>

struct database {
    const struct database_driver *driver;
    char *name; /* for messages: the path of a file, or a URI without its password */
};

/* A row of a result. */
struct row {
    const struct database_driver *driver;
    void *rows; /* the driver's: NULL if there is no row */
    int number; /* of the row among them */
};

/* Is called for each row of a list. A nonzero number that it returns ends the list. */
typedef int row_fn(void *user, const struct row *row);

/* What a database does, as the functions below describe it. */
struct database_driver {
    int (*execute)(struct database *database, const char *text);
    void (*rollback)(struct database *database);
    int (*find)(struct database *database, const char *text, struct row *row, uint64_t *changed,
                const char *types, va_list values);
    int (*each)(struct database *database, const char *text, row_fn *fn, void *user,
                const char *types, va_list values);
    int64_t (*read_number)(const struct row *row, int column);
    double (*read_double)(const struct row *row, int column);
    const char *(*read_text)(const struct row *row, int column);
    const void *(*read_bytes)(const struct row *row, int column, size_t *size);
    size_t (*read_halves)(const struct row *row, int column, uint16_t *values, size_t count);
    void (*release)(struct row *row);
};

/* ---- Statements ------------------------------------------------------------------------------ */

/* Runs statements that have no values and no results. */
static inline int database_execute(struct database *database, const char *text)
{
    return database->driver->execute(database, text);
}

/* Ends the open transaction, if there is one, without another message. */
static inline void database_rollback(struct database *database)
{
    database->driver->rollback(database);
}

/* The functions below take the text of a statement and its values, which it calls $1, $2 and so on.
 * Texts are constants: a statement is prepared once, and found again by the address of its text.
 * `types` has a letter per value:
 *   i  int64_t
 *   r  double; NAN becomes NULL
 *   t  const char *, a text in UTF-8 or NULL
 *   p  const char *, a path, stored as its bytes
 *   b  const void * and size_t, bytes
 *   h  const uint16_t * and size_t, fp16 values */

/* Runs a statement; *changed, if it is asked for, is the number of rows that it has changed. */
int database_run(struct database *database, const char *text, uint64_t *changed, const char *types,
                 ...);
/* Finds the first row of a statement, which must give few; row->rows is NULL if it has none. The
 * caller releases the row. */
int database_find(struct database *database, const char *text, struct row *row, const char *types,
                  ...);
/* Reads the one number of a statement; `fallback` where it has no row. */
int database_find_number(struct database *database, const char *text, int64_t fallback,
                         int64_t *number, const char *types, ...);
/* Calls `fn` for each row of a statement. The function may use the database. */
int database_each(struct database *database, const char *text, row_fn *fn, void *user,
                  const char *types, ...);

/* ---- Rows ------------------------------------------------------------------------------------ */

/* Values of a row. What is absent is 0, NAN or NULL. Texts and bytes are valid until the row is
 * released, or the list goes on. */
static inline int64_t row_number(const struct row *row, int column)
{
    return row->driver->read_number(row, column);
}

static inline double row_double(const struct row *row, int column)
{
    return row->driver->read_double(row, column);
}

/* Texts and paths end with a NUL. */
static inline const char *row_text(const struct row *row, int column)
{
    return row->driver->read_text(row, column);
}

static inline const void *row_bytes(const struct row *row, int column, size_t *size)
{
    return row->driver->read_bytes(row, column, size);
}

/* Copies fp16 values if there are `count` of them. Returns the bytes that there are. */
static inline size_t row_halves(const struct row *row, int column, uint16_t *values, size_t count)
{
    return row->driver->read_halves(row, column, values, count);
}

static inline void row_release(struct row *row)
{
    if (row->rows)
        row->driver->release(row);
    row->rows = NULL;
}

#endif
