/* SPDX-License-Identifier: MIT
 *
 * The forms in which a statement is run.
 */
#include "search/database.h"

int database_run(struct database *database, const char *text, uint64_t *changed, const char *types,
                 ...)
{
    struct row row;
    uint64_t ignored;
    va_list values;
    va_start(values, types);
    int error =
        database->driver->find(database, text, &row, changed ? changed : &ignored, types, values);
    va_end(values);
    row_release(&row);
    return error;
}

int database_find(struct database *database, const char *text, struct row *row, const char *types,
                  ...)
{
    uint64_t ignored;
    va_list values;
    va_start(values, types);
    int error = database->driver->find(database, text, row, &ignored, types, values);
    va_end(values);
    return error;
}

int database_find_number(struct database *database, const char *text, int64_t fallback,
                         int64_t *number, const char *types, ...)
{
    struct row row;
    uint64_t ignored;
    va_list values;
    va_start(values, types);
    int error = database->driver->find(database, text, &row, &ignored, types, values);
    va_end(values);
    *number = row.rows ? row_number(&row, 0) : fallback;
    row_release(&row);
    return error;
}

int database_each(struct database *database, const char *text, row_fn *fn, void *user,
                  const char *types, ...)
{
    va_list values;
    va_start(values, types);
    int error = database->driver->each(database, text, fn, user, types, values);
    va_end(values);
    return error;
}
