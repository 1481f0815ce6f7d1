/* SPDX-License-Identifier: MIT
 *
 * Turns values into the binary forms in which PostgreSQL takes them, and back.
 */
#ifndef VKCLIP_SEARCH_POSTGRES_VALUES_H
#define VKCLIP_SEARCH_POSTGRES_VALUES_H

#include "search/database.h"

#include <libpq-fe.h>

/* ---- To the server --------------------------------------------------------------------------- */

enum { POSTGRES_MOST_VALUES = 12 };

/* The values of a statement, as libpq takes them. */
struct postgres_values {
    int count;
    Oid types[POSTGRES_MOST_VALUES];
    const char *data[POSTGRES_MOST_VALUES]; /* NULL: no value */
    int sizes[POSTGRES_MOST_VALUES], formats[POSTGRES_MOST_VALUES];
    uint8_t numbers[POSTGRES_MOST_VALUES][8]; /* memory of numbers */
    void *owned[POSTGRES_MOST_VALUES];        /* memory of other values that were converted */
};

/* Reads values, with a letter per value as database.h has them. Bytes of a text that are not UTF-8
 * become question marks, and fp16 values get the binary form of pgvector's halfvec. The caller
 * frees them, also after an error. */
int postgres_values_make(struct postgres_values *values, const char *types, va_list arguments);
void postgres_values_free(struct postgres_values *values);

/* ---- From the server ------------------------------------------------------------------------- */

/* Reads values of a row: see database.h. */
int64_t postgres_read_number(const struct row *row, int column);
double postgres_read_double(const struct row *row, int column);
const char *postgres_read_text(const struct row *row, int column);
const void *postgres_read_bytes(const struct row *row, int column, size_t *size);
size_t postgres_read_halves(const struct row *row, int column, uint16_t *values, size_t count);

#endif
