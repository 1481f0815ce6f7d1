/* SPDX-License-Identifier: MIT
 *
 * Writes tables as Parquet files (github.com/apache/parquet-format) that every reader of the format
 * takes: plain values without compression, one page per column in each row group. Every column may
 * have nulls. Nothing is read, and columns cannot be nested.
 */
#ifndef VKCLIP_FORMAT_PARQUET_H
#define VKCLIP_FORMAT_PARQUET_H

#include "base/error.h"

enum parquet_type {
    PARQUET_TEXT,  /* UTF-8 */
    PARQUET_BYTES, /* any bytes */
    PARQUET_INT32,
    PARQUET_INT64,
    PARQUET_FLOAT,
    PARQUET_DOUBLE
};

struct parquet_column {
    const char *name; /* must live until the file is closed */
    enum parquet_type type;
};

struct parquet;

/* Begins a file. It gets its name when it is closed without an error. Running out of memory and
 * errors of writing are kept, and parquet_close reports them. */
int parquet_open(const char *path, const struct parquet_column *columns, size_t count,
                 struct parquet **parquet);

/* Gives the current row a value in a column, once per row. Text that is not UTF-8 is refused,
 * because readers refuse the whole file for it. */
void parquet_put_text(struct parquet *parquet, size_t column, const char *text, size_t length);
void parquet_put_integer(struct parquet *parquet, size_t column, int64_t value);
void parquet_put_number(struct parquet *parquet, size_t column, double value);
/* Ends the row. A column that got no value is null there. Returns the first error so far. */
int parquet_end_row(struct parquet *parquet);

/* Completes the file, or removes what was written if there was an error or the caller passes an
 * `error`, which is then returned. Accepts NULL. */
int parquet_close(struct parquet **parquet, int error);

#endif
