/* SPDX-License-Identifier: MIT
 *
 * The numbers of types are those of PostgreSQL's catalogue, which never change.
 */
#include "search/postgres_values.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>
#include <utf8proc.h>

enum { TYPE_BYTEA = 17, TYPE_INT8 = 20, TYPE_TEXT = 25, TYPE_FLOAT8 = 701, TYPE_OF_COLUMN = 0 };

/* A halfvec begins with its number of values and 16 bits that are 0. */
enum { HALVES_HEADER = 4 };

/* ---- To the server --------------------------------------------------------------------------- */

static void write_number(uint8_t *bytes, uint64_t number)
{
    for (int i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
}

static void add_number(struct postgres_values *values, Oid type, uint64_t number)
{
    const int place = values->count++;
    write_number(values->numbers[place], number);
    values->types[place] = type;
    values->data[place] = (const char *)values->numbers[place];
    values->sizes[place] = 8;
}

static void add_bytes(struct postgres_values *values, Oid type, const void *data, size_t size)
{
    const int place = values->count++;
    values->types[place] = type;
    values->data[place] = data;
    values->sizes[place] = (int)size;
}

static void add_double(struct postgres_values *values, double number)
{
    uint64_t bits;
    memcpy(&bits, &number, sizeof(bits));
    if (isnan(number))
        add_bytes(values, TYPE_FLOAT8, NULL, 0);
    else
        add_number(values, TYPE_FLOAT8, bits);
}

/* Replaces what is not UTF-8, which the server refuses. Messages and names of cameras come out of
 * files. */
static void mend_text(char *text, size_t size)
{
    for (size_t i = 0; i < size;) {
        utf8proc_int32_t code;
        const utf8proc_ssize_t length = utf8proc_iterate((const utf8proc_uint8_t *)text + i,
                                                         (utf8proc_ssize_t)(size - i), &code);
        if (length <= 0)
            text[i] = '?';
        i += length > 0 ? (size_t)length : 1;
    }
}

static bool add_text(struct postgres_values *values, const char *text)
{
    const size_t size = text ? strlen(text) : 0;
    char *copy = text ? memory_alloc(size + 1) : NULL;
    if (copy) {
        memcpy(copy, text, size + 1);
        mend_text(copy, size);
    }
    values->owned[values->count] = copy;
    add_bytes(values, TYPE_TEXT, copy, size);
    return copy || !text;
}

static bool add_halves(struct postgres_values *values, const uint16_t *halves, size_t count)
{
    const size_t size = HALVES_HEADER + 2 * count;
    uint8_t *bytes = memory_calloc(size, 1);
    if (!bytes)
        return false;
    bytes[0] = (uint8_t)(count >> 8);
    bytes[1] = (uint8_t)count;
    for (size_t i = 0; i < count; i++) {
        bytes[HALVES_HEADER + 2 * i] = (uint8_t)(halves[i] >> 8);
        bytes[HALVES_HEADER + 2 * i + 1] = (uint8_t)halves[i];
    }
    values->owned[values->count] = bytes;
    add_bytes(values, TYPE_OF_COLUMN, bytes, size);
    return true;
}

static bool add_value(struct postgres_values *values, char type, va_list *arguments)
{
    const void *data;
    switch (type) {
    case 'i':
        add_number(values, TYPE_INT8, (uint64_t)va_arg(*arguments, int64_t));
        return true;
    case 'r':
        add_double(values, va_arg(*arguments, double));
        return true;
    case 't':
        return add_text(values, va_arg(*arguments, const char *));
    case 'p':
        data = va_arg(*arguments, const char *);
        add_bytes(values, TYPE_BYTEA, data, strlen(data));
        return true;
    case 'b':
        data = va_arg(*arguments, const void *);
        add_bytes(values, TYPE_BYTEA, data ? data : "", va_arg(*arguments, size_t));
        return true;
    default:
        data = va_arg(*arguments, const uint16_t *);
        return add_halves(values, data, va_arg(*arguments, size_t));
    }
}

int postgres_values_make(struct postgres_values *values, const char *types, va_list arguments)
{
    bool good = true;
    va_list rest;
    *values = (struct postgres_values){0};
    for (int i = 0; i < POSTGRES_MOST_VALUES; i++)
        values->formats[i] = 1;
    va_copy(rest, arguments); /* A parameter's address may have another type than a va_list's. */
    for (; *types && good; types++)
        good = add_value(values, *types, &rest);
    va_end(rest);
    return good ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for the database");
}

void postgres_values_free(struct postgres_values *values)
{
    for (int i = 0; i < POSTGRES_MOST_VALUES; i++)
        memory_free(values->owned[i]);
}

/* ---- From the server ------------------------------------------------------------------------- */

static bool is_null(const struct row *row, int column)
{
    return PQgetisnull(row->rows, row->number, column);
}

const void *postgres_read_bytes(const struct row *row, int column, size_t *size)
{
    *size = (size_t)PQgetlength(row->rows, row->number, column);
    return PQgetvalue(row->rows, row->number, column);
}

/* Reads the bits of a number or a truth value, which is one byte. */
static uint64_t read_bits(const struct row *row, int column)
{
    size_t size;
    uint64_t number = 0;
    const uint8_t *bytes = postgres_read_bytes(row, column, &size);
    for (size_t i = 0; i < size; i++)
        number = number << 8 | bytes[i];
    return number;
}

int64_t postgres_read_number(const struct row *row, int column)
{
    return (int64_t)read_bits(row, column);
}

double postgres_read_double(const struct row *row, int column)
{
    const uint64_t bits = read_bits(row, column);
    double number = (double)NAN;
    if (!is_null(row, column))
        memcpy(&number, &bits, sizeof(number));
    return number;
}

/* libpq puts a NUL behind each value. */
const char *postgres_read_text(const struct row *row, int column)
{
    return is_null(row, column) ? NULL : PQgetvalue(row->rows, row->number, column);
}

size_t postgres_read_halves(const struct row *row, int column, uint16_t *values, size_t count)
{
    size_t size;
    const uint8_t *bytes = postgres_read_bytes(row, column, &size);
    size = size > HALVES_HEADER ? size - HALVES_HEADER : 0;
    if (size != 2 * count)
        return size;
    bytes += HALVES_HEADER;
    for (size_t i = 0; i < count; i++)
        values[i] = (uint16_t)(bytes[2 * i] << 8 | bytes[2 * i + 1]);
    return size;
}
