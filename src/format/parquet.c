/* SPDX-License-Identifier: MIT
 *
 * A Parquet file is "PAR1", the row groups, a footer that says where everything lies, the footer's
 * size and "PAR1". Page heads and the footer are structs of Thrift's compact protocol. The numbers
 * of fields and enums below are those of parquet.thrift.
 */
#include "format/parquet.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/version.h"

#include <string.h>
#include <utf8proc.h>

/* Bytes of values after which a row group is written: few enough to be held in memory, and enough
 * that the heads of the pages do not count. Sizes in a page's head are 32-bit numbers. */
enum { GROUP_SIZE = 16 << 20, LONGEST_TEXT = 256 << 20 };

struct buffer {
    uint8_t *data;
    size_t size, capacity;
    bool failed; /* There was no memory. */
};

/* What a column holds of the current row group. */
struct column {
    const char *name;
    enum parquet_type type;
    struct buffer levels, values; /* levels: whether each row has a value, in runs */
    size_t run;                   /* rows of the last run, which is not in `levels` yet */
    bool run_present;             /* whether those rows have values */
    bool given;                   /* the current row has a value */
};

struct parquet {
    struct file_output output;
    struct column *columns;
    size_t count;
    uint64_t rows, group_rows; /* complete rows of the file, and of the current row group */
    struct buffer groups;      /* the footer's descriptions of the row groups */
    uint32_t group_count;
    int error;
};

/* ---- Bytes ----------------------------------------------------------------------------------- */

static void put_bytes(struct buffer *buffer, const void *data, size_t size)
{
    if (!buffer->failed && size > buffer->capacity - buffer->size) {
        const size_t capacity = 2 * buffer->capacity + size + 64;
        uint8_t *grown = memory_realloc(buffer->data, capacity);
        buffer->failed = !grown;
        buffer->data = grown ? grown : buffer->data;
        buffer->capacity = grown ? capacity : buffer->capacity;
    }
    if (buffer->failed || !size)
        return;
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
}

static void put_byte(struct buffer *buffer, unsigned byte)
{
    const uint8_t value = (uint8_t)byte;
    put_bytes(buffer, &value, 1);
}

static void put_little_endian(struct buffer *buffer, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        put_byte(buffer, value >> (8 * i) & 0xff);
}

/* Seven bits per byte, the lowest first; the highest bit says that more bytes follow. */
static void put_varint(struct buffer *buffer, uint64_t value)
{
    for (; value > 0x7f; value >>= 7)
        put_byte(buffer, (value & 0x7f) | 0x80);
    put_byte(buffer, (unsigned)value);
}

/* ---- Thrift's compact protocol --------------------------------------------------------------- */

enum thrift_type {
    THRIFT_I32 = 5,
    THRIFT_I64 = 6,
    THRIFT_BINARY = 8,
    THRIFT_LIST = 9,
    THRIFT_STRUCT = 12
};

/* A struct that is being written: a field's number is stored as the distance to the field before.
 */
struct thrift {
    struct buffer *buffer;
    unsigned last;
};

static void put_field(struct thrift *thrift, unsigned number, enum thrift_type type)
{
    put_byte(thrift->buffer, (number - thrift->last) << 4 | type);
    thrift->last = number;
}

static void put_number(struct thrift *thrift, unsigned number, enum thrift_type type, int64_t value)
{
    put_field(thrift, number, type);
    put_varint(thrift->buffer, (uint64_t)value << 1); /* The lowest bit is the sign: none here. */
}

static void put_string(struct buffer *buffer, const char *text)
{
    put_varint(buffer, strlen(text));
    put_bytes(buffer, text, strlen(text));
}

static void put_list(struct thrift *thrift, unsigned number, enum thrift_type type, size_t count)
{
    put_field(thrift, number, THRIFT_LIST);
    put_byte(thrift->buffer, (count < 15 ? (unsigned)count << 4 : 0xf0) | type);
    if (count >= 15)
        put_varint(thrift->buffer, count);
}

static struct thrift begin_struct(struct thrift *outer, unsigned number)
{
    put_field(outer, number, THRIFT_STRUCT);
    return (struct thrift){.buffer = outer->buffer};
}

static void end_struct(struct thrift *thrift)
{
    put_byte(thrift->buffer, 0);
}

/* ---- The types ------------------------------------------------------------------------------- */

enum physical { INT32 = 1, INT64 = 2, FLOAT = 4, DOUBLE = 5, BYTE_ARRAY = 6 };
enum { NOT_CONVERTED = -1, UTF8 = 0 };

static const struct {
    enum physical physical;
    int converted;
} types[] = {
    [PARQUET_TEXT] = {BYTE_ARRAY, UTF8},      [PARQUET_BYTES] = {BYTE_ARRAY, NOT_CONVERTED},
    [PARQUET_INT32] = {INT32, NOT_CONVERTED}, [PARQUET_INT64] = {INT64, NOT_CONVERTED},
    [PARQUET_FLOAT] = {FLOAT, NOT_CONVERTED}, [PARQUET_DOUBLE] = {DOUBLE, NOT_CONVERTED}};

enum { PLAIN = 0, RLE = 3, OPTIONAL = 1, UNCOMPRESSED = 0, DATA_PAGE = 0 };

/* ---- Row groups ------------------------------------------------------------------------------ */

static int keep_error(struct parquet *parquet, int error)
{
    if (!parquet->error)
        parquet->error = error;
    return parquet->error;
}

static int fail_memory(struct parquet *parquet)
{
    return keep_error(
        parquet, error_fail(VKCLIP_EMEMORY, "%s: out of memory for a table", parquet->output.path));
}

/* Writes the last run of levels: its length, shifted by a bit that tells runs from packed bits. */
static void end_run(struct column *column)
{
    if (!column->run)
        return;
    put_varint(&column->levels, (uint64_t)column->run << 1);
    put_byte(&column->levels, column->run_present);
    column->run = 0;
}

static void put_page_head(const struct column *column, uint64_t rows, struct buffer *head)
{
    const int64_t size = (int64_t)(4 + column->levels.size + column->values.size);
    struct thrift page = {.buffer = head};
    put_number(&page, 1, THRIFT_I32, DATA_PAGE);
    put_number(&page, 2, THRIFT_I32, size);
    put_number(&page, 3, THRIFT_I32, size);
    struct thrift data = begin_struct(&page, 5);
    put_number(&data, 1, THRIFT_I32, (int64_t)rows);
    put_number(&data, 2, THRIFT_I32, PLAIN);
    put_number(&data, 3, THRIFT_I32, RLE);
    put_number(&data, 4, THRIFT_I32, RLE);
    end_struct(&data);
    end_struct(&page);
    put_little_endian(head, column->levels.size, 4);
}

/* Adds a column of the row group to the footer. */
static void describe_chunk(struct buffer *groups, const struct column *column, uint64_t rows,
                           int64_t position, int64_t size)
{
    struct thrift chunk = {.buffer = groups};
    put_number(&chunk, 2, THRIFT_I64, position);
    struct thrift data = begin_struct(&chunk, 3);
    put_number(&data, 1, THRIFT_I32, types[column->type].physical);
    put_list(&data, 2, THRIFT_I32, 2);
    put_varint(groups, PLAIN << 1);
    put_varint(groups, RLE << 1);
    put_list(&data, 3, THRIFT_BINARY, 1);
    put_string(groups, column->name);
    put_number(&data, 4, THRIFT_I32, UNCOMPRESSED);
    put_number(&data, 5, THRIFT_I64, (int64_t)rows);
    put_number(&data, 6, THRIFT_I64, size);
    put_number(&data, 7, THRIFT_I64, size);
    put_number(&data, 9, THRIFT_I64, position);
    end_struct(&data);
    end_struct(&chunk);
}

/* Writes one column of the row group and empties it. */
static void write_chunk(struct parquet *parquet, struct column *column)
{
    const uint64_t position = parquet->output.size;
    struct buffer head = {0};
    end_run(column);
    put_page_head(column, parquet->group_rows, &head);
    if (head.failed || column->levels.failed || column->values.failed)
        fail_memory(parquet);
    if (!parquet->error) {
        file_output_write(&parquet->output, head.data, head.size);
        file_output_write(&parquet->output, column->levels.data, column->levels.size);
        keep_error(parquet,
                   file_output_write(&parquet->output, column->values.data, column->values.size));
        describe_chunk(&parquet->groups, column, parquet->group_rows, (int64_t)position,
                       (int64_t)(parquet->output.size - position));
    }
    memory_free(head.data);
    column->levels.size = column->values.size = 0;
}

static void write_group(struct parquet *parquet)
{
    const uint64_t position = parquet->output.size;
    struct thrift group = {.buffer = &parquet->groups};
    if (!parquet->group_rows)
        return;
    put_list(&group, 1, THRIFT_STRUCT, parquet->count);
    for (size_t i = 0; i < parquet->count; i++)
        write_chunk(parquet, &parquet->columns[i]);
    put_number(&group, 2, THRIFT_I64, (int64_t)(parquet->output.size - position));
    put_number(&group, 3, THRIFT_I64, (int64_t)parquet->group_rows);
    end_struct(&group);
    parquet->group_count++;
    parquet->group_rows = 0;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* Counts one more row with a value or without one. */
static void put_level(struct column *column, bool present)
{
    if (column->run_present != present)
        end_run(column);
    column->run_present = present;
    column->run++;
    column->given = present;
}

void parquet_put_text(struct parquet *parquet, size_t column, const char *text, size_t length)
{
    struct column *wanted = &parquet->columns[column];
    utf8proc_int32_t code;
    size_t valid = 0;
    while (wanted->type == PARQUET_TEXT && valid < length) {
        const utf8proc_ssize_t size = utf8proc_iterate((const utf8proc_uint8_t *)text + valid,
                                                       (utf8proc_ssize_t)(length - valid), &code);
        if (size <= 0)
            break;
        valid += (size_t)size;
    }
    if (length > LONGEST_TEXT || (wanted->type == PARQUET_TEXT && valid < length)) {
        keep_error(parquet,
                   error_fail(VKCLIP_EINVALID,
                              "%s: column %s, row %llu: expected %s of at most %d bytes",
                              parquet->output.path, wanted->name, (unsigned long long)parquet->rows,
                              wanted->type == PARQUET_TEXT ? "UTF-8" : "a value", LONGEST_TEXT));
        return;
    }
    put_little_endian(&wanted->values, length, 4);
    put_bytes(&wanted->values, text, length);
    put_level(wanted, true);
}

void parquet_put_integer(struct parquet *parquet, size_t column, int64_t value)
{
    struct column *wanted = &parquet->columns[column];
    put_little_endian(&wanted->values, (uint64_t)value,
                      types[wanted->type].physical == INT32 ? 4 : 8);
    put_level(wanted, true);
}

void parquet_put_number(struct parquet *parquet, size_t column, double value)
{
    struct column *wanted = &parquet->columns[column];
    const float single = (float)value;
    if (wanted->type == PARQUET_FLOAT)
        put_bytes(&wanted->values, &single, sizeof(single));
    else
        put_bytes(&wanted->values, &value, sizeof(value));
    put_level(wanted, true);
}

int parquet_end_row(struct parquet *parquet)
{
    size_t size = 0;
    for (size_t i = 0; i < parquet->count; i++) {
        struct column *column = &parquet->columns[i];
        if (!column->given)
            put_level(column, false);
        column->given = false;
        size += column->values.size;
    }
    parquet->rows++;
    parquet->group_rows++;
    if (size >= GROUP_SIZE || parquet->group_rows >= INT32_MAX)
        write_group(parquet);
    return parquet->error;
}

/* ---- The file -------------------------------------------------------------------------------- */

int parquet_open(const char *path, const struct parquet_column *columns, size_t count,
                 struct parquet **result)
{
    struct parquet *parquet = *result = memory_calloc(1, sizeof(*parquet));
    struct column *copies = memory_calloc(count + 1, sizeof(*copies));
    if (!parquet || !copies) {
        memory_free(copies);
        memory_free(parquet);
        *result = NULL;
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for a table", path);
    }
    for (size_t i = 0; i < count; i++)
        copies[i] = (struct column){.name = columns[i].name, .type = columns[i].type};
    parquet->columns = copies;
    parquet->count = count;
    parquet->error = file_output_open(path, &parquet->output);
    if (!parquet->error)
        parquet->error = file_output_write(&parquet->output, "PAR1", 4);
    return parquet->error ? parquet_close(result, parquet->error) : VKCLIP_OK;
}

static void describe_schema(const struct parquet *parquet, struct thrift *footer)
{
    put_list(footer, 2, THRIFT_STRUCT, parquet->count + 1);
    struct thrift root = {.buffer = footer->buffer};
    put_field(&root, 4, THRIFT_BINARY);
    put_string(root.buffer, "schema");
    put_number(&root, 5, THRIFT_I32, (int64_t)parquet->count);
    end_struct(&root);
    for (size_t i = 0; i < parquet->count; i++) {
        const struct column *column = &parquet->columns[i];
        struct thrift element = {.buffer = footer->buffer};
        put_number(&element, 1, THRIFT_I32, types[column->type].physical);
        put_number(&element, 3, THRIFT_I32, OPTIONAL);
        put_field(&element, 4, THRIFT_BINARY);
        put_string(element.buffer, column->name);
        if (types[column->type].converted != NOT_CONVERTED)
            put_number(&element, 6, THRIFT_I32, types[column->type].converted);
        end_struct(&element);
    }
}

static void write_footer(struct parquet *parquet)
{
    struct buffer buffer = {0};
    struct thrift footer = {.buffer = &buffer};
    put_number(&footer, 1, THRIFT_I32, 1); /* the version of the format */
    describe_schema(parquet, &footer);
    put_number(&footer, 3, THRIFT_I64, (int64_t)parquet->rows);
    put_list(&footer, 4, THRIFT_STRUCT, parquet->group_count);
    put_bytes(&buffer, parquet->groups.data, parquet->groups.size);
    put_field(&footer, 6, THRIFT_BINARY);
    put_string(&buffer, "vkclip version " VERSION);
    end_struct(&footer);
    put_little_endian(&buffer, buffer.size, 4);
    put_bytes(&buffer, "PAR1", 4);
    if (buffer.failed || parquet->groups.failed)
        fail_memory(parquet);
    else
        keep_error(parquet, file_output_write(&parquet->output, buffer.data, buffer.size));
    memory_free(buffer.data);
}

int parquet_close(struct parquet **handle, int error)
{
    struct parquet *parquet = *handle;
    if (!parquet)
        return error;
    if (!error && !parquet->error) {
        write_group(parquet);
        write_footer(parquet);
    }
    error = file_output_close(&parquet->output, error ? error : parquet->error);
    for (size_t i = 0; i < parquet->count; i++) {
        memory_free(parquet->columns[i].levels.data);
        memory_free(parquet->columns[i].values.data);
    }
    memory_free(parquet->columns);
    memory_free(parquet->groups.data);
    memory_free(parquet);
    *handle = NULL;
    return error;
}
