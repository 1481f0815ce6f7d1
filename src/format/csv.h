/* SPDX-License-Identifier: MIT
 *
 * Rows of a file of comma- or tab-separated values whose first row names the columns. Fields in
 * double quotes may hold separators, line ends and doubled quotes. Reads a row at a time.
 */
#ifndef VKCLIP_FORMAT_CSV_H
#define VKCLIP_FORMAT_CSV_H

#include "base/file.h"

struct csv_field {
    const char *text; /* NUL behind it; in the file's bytes there may be NULs too */
    size_t length;
};

struct csv {
    char *path;
    struct file_map map;
    size_t at;         /* byte of the next row */
    uint64_t line;     /* of the row just read, from 1 */
    uint64_t end_line; /* behind it */
    char separator;
    char *row; /* texts of the fields */
    size_t row_size, row_capacity;
    struct csv_field *fields; /* [count] of the row just read: at first the columns' names */
    size_t count, capacity;
};

/* `separator` 0: a tab where the first row has one, else a comma. */
int csv_open(const char *path, char separator, struct csv *csv);
void csv_close(struct csv *csv);

/* Position of a column, to be asked before the first csv_next. */
int csv_column(const struct csv *csv, const char *name, size_t *column);

/* The next row that is not empty; *more false at the end. */
int csv_next(struct csv *csv, bool *more);

#endif
