/* SPDX-License-Identifier: MIT
 *
 * Turns values into the binary forms in which PostgreSQL takes them, and back.
 */
#ifndef VKCLIP_SEARCH_POSTGRES_VALUES_H
#define VKCLIP_SEARCH_POSTGRES_VALUES_H

#include "base/error.h"

#include <libpq-fe.h>
#include <stdarg.h>

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

/* Reads values, with a letter per value:
 *   i  int64_t
 *   r  double; NAN becomes NULL
 *   t  const char *, a text or NULL; bytes that are not UTF-8 become question marks
 *   p  const char *, a path, stored as its bytes
 *   b  const void * and size_t, bytes
 *   h  const uint16_t * and size_t, fp16 values in the binary form of pgvector's halfvec
 * The caller frees them, also after an error. */
int postgres_values_make(struct postgres_values *values, const char *types, va_list arguments);
void postgres_values_free(struct postgres_values *values);

/* ---- From the server ------------------------------------------------------------------------- */

/* A row of a result. */
struct postgres_row {
    const PGresult *rows;
    int number;
};

/* Values of a row. What is absent is 0, NAN or NULL. */
bool postgres_is_null(struct postgres_row row, int column);
int64_t postgres_number(struct postgres_row row, int column);
double postgres_double(struct postgres_row row, int column);
/* Texts and paths, which end with a NUL. */
const char *postgres_text(struct postgres_row row, int column);
const void *postgres_bytes(struct postgres_row row, int column, size_t *size);
/* Copies fp16 values; false if they are not `count`. */
bool postgres_halves(struct postgres_row row, int column, uint16_t *values, size_t count);

#endif
