/* SPDX-License-Identifier: MIT
 *
 * Reads files of comma- or tab-separated values whose first row names the columns. Fields in double
 * quotes may hold separators, line ends and doubled quotes. Rows are read one after the other. A
 * quote that nothing closes is refused. The caller checks whether a row has the columns that it
 * should have.
 */
#ifndef VKCLIP_FORMAT_CSV_H
#define VKCLIP_FORMAT_CSV_H

#include "base/file.h"

/* What is said of a row with more columns than have names. */
#define CSV_LONG "more columns than the first row (a text with the separator has to be in quotes)"

struct csv_field {
    const char *text; /* terminated by NUL; the file's bytes may have NULs too */
    size_t length;
};

struct csv {
    char *path;
    struct file_map map; /* is read in pieces, because a mapped file may become shorter */
    size_t position;     /* the byte where the next row begins */
    char *piece;         /* the bytes of the file from `begin` to `end` */
    size_t begin, end;
    int error;     /* Reading a piece has failed. */
    uint64_t line; /* the line where the current row begins, from 1 */
    uint64_t next_line;
    char separator;
    char *row; /* the texts of the fields */
    size_t row_size, row_capacity;
    struct csv_field *fields; /* [count] of the current row, which is the columns' names at first */
    size_t count, capacity;
    size_t columns; /* that the first row names */
};

/* Opens a file and reads the names of its columns. With `separator` 0 the separator is a tab if the
 * first row has a tab, and else a comma. */
int csv_open(const char *path, char separator, struct csv *csv);
void csv_close(struct csv *csv);

/* Finds a column by its name. It must be called before the first csv_next, which overwrites the
 * names. */
int csv_column(const struct csv *csv, const char *name, size_t *column);

/* Reads the next row that is not empty. *more is false at the end of the file. */
int csv_next(struct csv *csv, bool *more);
/* Tells whether the row has a text beyond the named columns, as a caption with commas has that is
 * not in quotes: no column of such a row is sure. */
bool csv_is_long(const struct csv *csv);

#endif
