/* SPDX-License-Identifier: MIT
 *
 * SQLite's own messages name neither the file nor what to do, so each of its results that a user
 * may meet has a text here.
 */
#ifdef VKCLIP_WITH_SEARCH
#include "search/sqlite.h"
#include "base/array.h"
#include "base/string.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Milliseconds for which a process waits for another one's batch. A batch is written in some
 * milliseconds, but on a slow disk its commit may take seconds. */
enum { BUSY_TIMEOUT = 30000 };

/* ---- Errors ---------------------------------------------------------------------------------- */

static const struct {
    int code, error;
    const char *text;
} failures[] = {
    {SQLITE_BUSY, VKCLIP_EIO,
     "locked by another process for half a minute: try again when that has ended"},
    {SQLITE_LOCKED, VKCLIP_EIO, "locked by another process: try again when that has ended"},
    {SQLITE_READONLY, VKCLIP_EIO,
     "cannot be written to: expected a file and a folder that are not read-only"},
    {SQLITE_FULL, VKCLIP_EIO,
     "the disk is full; all earlier batches are in the index: free some space and try again"},
    {SQLITE_CANTOPEN, VKCLIP_EIO, "cannot be opened"},
    {SQLITE_PERM, VKCLIP_EIO, "no permission to use it"},
    {SQLITE_AUTH, VKCLIP_EIO, "no permission to use it"},
    {SQLITE_NOTADB, VKCLIP_EFORMAT, "expected an SQLite database, found another kind of file"},
    {SQLITE_CORRUPT, VKCLIP_EFORMAT,
     "damaged database: restore it from a backup, or remove it and index again"},
    {SQLITE_NOMEM, VKCLIP_EMEMORY, "out of memory for the database"},
};

int sqlite_fail(const struct sqlite *sqlite, int code)
{
    const int system = sqlite->database ? sqlite3_system_errno(sqlite->database) : 0;
    const bool by_system =
        system && ((code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_IOERR);
    const char *reason = by_system ? strerror(system) : sqlite3_errmsg(sqlite->database);
    for (size_t i = 0; i < ARRAY_COUNT(failures); i++)
        if (failures[i].code == (code & 0xff))
            return error_fail(failures[i].error, "%s: %s%s%s", sqlite->path, failures[i].text,
                              by_system ? ": " : "", by_system ? reason : "");
    return error_fail(VKCLIP_EIO, "%s: cannot be read or written: %s", sqlite->path, reason);
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Makes a URI of a path, in which SQLite gives a meaning to ?, # and %, and to two slashes at the
 * beginning, after which a host's name would follow. */
static char *make_uri(const char *path, const char *parameters)
{
    char *uri = malloc(3 * strlen(path) + strlen(parameters) + 8), *next = uri;
    if (!uri)
        return NULL;
    next += sprintf(next, *path == '/' ? "file://" : "file:");
    for (; *path; path++)
        next += sprintf(next, strchr("?#%", *path) ? "%%%02x" : "%c", (unsigned char)*path);
    strcpy(next, parameters);
    return uri;
}

static int open_database(struct sqlite *sqlite, const char *parameters, int flags)
{
    char *uri = make_uri(sqlite->path, parameters);
    if (!uri)
        return SQLITE_NOMEM;
    sqlite3_close(sqlite->database);
    int code = sqlite3_open_v2(uri, &sqlite->database,
                               flags | SQLITE_OPEN_URI | SQLITE_OPEN_FULLMUTEX, NULL);
    free(uri);
    if (!code) {
        sqlite3_extended_result_codes(sqlite->database, 1);
        sqlite3_busy_timeout(sqlite->database, BUSY_TIMEOUT);
        /* The file itself is first read by a statement. */
        code =
            sqlite3_exec(sqlite->database, "SELECT count(*) FROM sqlite_master", NULL, NULL, NULL);
    }
    return code;
}

/* A database in WAL mode in a folder that cannot be written to needs a file that cannot be made. It
 * is then read as a file that nobody changes. */
static int open_read_only(struct sqlite *sqlite)
{
    int code = open_database(sqlite, "", SQLITE_OPEN_READONLY);
    if ((code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_READONLY)
        code = open_database(sqlite, "?immutable=1", SQLITE_OPEN_READONLY);
    return code;
}

int sqlite_open(const char *path, enum sqlite_mode mode, struct sqlite *sqlite)
{
    int code = SQLITE_NOMEM;
    *sqlite = (struct sqlite){.path = string_format("%s", path)};
    if (!sqlite->path)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (mode == SQLITE_MODE_READ)
        code = open_read_only(sqlite);
    else
        code = open_database(sqlite, "", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    int error = code ? sqlite_fail(sqlite, code) : VKCLIP_OK;
    if (error)
        sqlite_close(sqlite);
    return error;
}

void sqlite_close(struct sqlite *sqlite)
{
    for (size_t i = 0; i < ARRAY_COUNT(sqlite->statements); i++)
        sqlite3_finalize(sqlite->statements[i].statement);
    sqlite3_close_v2(sqlite->database);
    free(sqlite->path);
    *sqlite = (struct sqlite){0};
}

/* ---- Statements ------------------------------------------------------------------------------ */

int sqlite_execute(const struct sqlite *sqlite, const char *text)
{
    int code = sqlite3_exec(sqlite->database, text, NULL, NULL, NULL);
    return code ? sqlite_fail(sqlite, code) : VKCLIP_OK;
}

static int bind_bytes(sqlite3_stmt *statement, int place, const void *data, size_t size)
{
    return sqlite3_bind_blob64(statement, place, data ? data : "", size, SQLITE_STATIC);
}

static int bind_text(sqlite3_stmt *statement, int place, const char *text)
{
    return text ? sqlite3_bind_text(statement, place, text, -1, SQLITE_STATIC)
                : sqlite3_bind_null(statement, place);
}

static int bind_double(sqlite3_stmt *statement, int place, double value)
{
    return isnan(value) ? sqlite3_bind_null(statement, place)
                        : sqlite3_bind_double(statement, place, value);
}

static int bind_value(sqlite3_stmt *statement, int place, char type, va_list *values)
{
    if (type == 'i')
        return sqlite3_bind_int64(statement, place, va_arg(*values, int64_t));
    if (type == 'r')
        return bind_double(statement, place, va_arg(*values, double));
    if (type == 't')
        return bind_text(statement, place, va_arg(*values, const char *));
    const char *data = va_arg(*values, const char *);
    return bind_bytes(statement, place, data, type == 'p' ? strlen(data) : va_arg(*values, size_t));
}

static int bind(const struct sqlite *sqlite, sqlite3_stmt *statement, const char *types,
                va_list values)
{
    int code = SQLITE_OK;
    va_list rest;
    va_copy(rest, values); /* A parameter's address may have another type than a va_list's. */
    sqlite3_reset(statement);
    for (int i = 0; types[i] && !code; i++)
        code = bind_value(statement, i + 1, types[i], &rest);
    va_end(rest);
    return code ? sqlite_fail(sqlite, code) : VKCLIP_OK;
}

/* Steps to the next row; *row is false after the last, where the statement is reset. */
static int step(const struct sqlite *sqlite, sqlite3_stmt *statement, bool *row)
{
    const int code = sqlite3_step(statement);
    *row = code == SQLITE_ROW;
    if (*row)
        return VKCLIP_OK;
    int error = code == SQLITE_DONE ? VKCLIP_OK : sqlite_fail(sqlite, code);
    sqlite3_reset(statement);
    return error;
}

static int prepare(const struct sqlite *sqlite, const char *text, sqlite3_stmt **statement)
{
    int code = sqlite3_prepare_v2(sqlite->database, text, -1, statement, NULL);
    return code ? sqlite_fail(sqlite, code) : VKCLIP_OK;
}

/* Finds a statement that was used before by the address of its text. Where there are too many, the
 * first is replaced. */
static int keep_statement(struct sqlite *sqlite, const char *text, sqlite3_stmt **statement)
{
    struct sqlite_statement *kept = sqlite->statements;
    for (size_t i = 0; i < ARRAY_COUNT(sqlite->statements) && kept[i].text; i++)
        if (kept[i].text == text) {
            *statement = kept[i].statement;
            return VKCLIP_OK;
        }
    int error = prepare(sqlite, text, statement);
    if (error)
        return error;
    size_t place = 0;
    while (place < ARRAY_COUNT(sqlite->statements) && kept[place].text)
        place++;
    if (place == ARRAY_COUNT(sqlite->statements))
        sqlite3_finalize(kept[place = 0].statement);
    kept[place] = (struct sqlite_statement){text, *statement};
    return VKCLIP_OK;
}

static int find_row(struct sqlite *sqlite, const char *text, sqlite3_stmt **row, const char *types,
                    va_list values)
{
    sqlite3_stmt *statement = NULL;
    bool found = false;
    int error = keep_statement(sqlite, text, &statement);
    if (!error)
        error = bind(sqlite, statement, types, values);
    if (!error)
        error = step(sqlite, statement, &found);
    *row = found ? statement : NULL;
    return error;
}

int sqlite_find(struct sqlite *sqlite, const char *text, sqlite3_stmt **row, const char *types, ...)
{
    va_list values;
    va_start(values, types);
    int error = find_row(sqlite, text, row, types, values);
    va_end(values);
    return error;
}

int sqlite_run(struct sqlite *sqlite, const char *text, const char *types, ...)
{
    sqlite3_stmt *row;
    va_list values;
    va_start(values, types);
    int error = find_row(sqlite, text, &row, types, values);
    va_end(values);
    sqlite3_reset(row);
    return error;
}

int sqlite_find_number(struct sqlite *sqlite, const char *text, int64_t fallback, int64_t *number,
                       const char *types, ...)
{
    sqlite3_stmt *row;
    va_list values;
    va_start(values, types);
    int error = find_row(sqlite, text, &row, types, values);
    va_end(values);
    *number = row ? sqlite3_column_int64(row, 0) : fallback;
    sqlite3_reset(row);
    return error;
}

int sqlite_each(const struct sqlite *sqlite, const char *text, sqlite_row_fn *fn, void *user,
                const char *types, ...)
{
    sqlite3_stmt *statement = NULL;
    va_list values;
    bool row = true;
    int error = prepare(sqlite, text, &statement);
    va_start(values, types);
    if (!error)
        error = bind(sqlite, statement, types, values);
    va_end(values);
    while (!error && row) {
        error = step(sqlite, statement, &row);
        if (!error && row)
            error = fn(user, statement);
    }
    sqlite3_finalize(statement);
    return error;
}
#else
typedef int sqlite_is_left_out; /* A file of C must declare something. */
#endif
