/* SPDX-License-Identifier: MIT
 *
 * SQLite's own messages name neither the file nor what to do, so each of its results that a user
 * may meet has a text here.
 */
#include "search/sqlite.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/process.h"
#include "base/progress.h"
#include "base/string.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Seconds for which a process waits for another one's batch. A batch is written in some
 * milliseconds, but on a slow disk its commit may take seconds. */
enum { BUSY_SECONDS = 30 };

/* The same for a call that was cancelled, which writes what is complete if it can do so soon: who
 * has ended a program does not wait for another one. */
enum { BUSY_CLEANUP_SECONDS = 1 };

/* Steps of SQLite's machine between two questions whether to go on, a tenth of a millisecond. */
enum { STEPS = 2000 };

/* ---- Errors ---------------------------------------------------------------------------------- */

static const struct {
    int code, error;
    const char *text;
} failures[] = {
    {SQLITE_BUSY, VKCLIP_EIO,
     "locked by another process for half a minute: try again when that has ended"},
    {SQLITE_LOCKED, VKCLIP_EIO, "locked by another process: try again when that has ended"},
    {SQLITE_READONLY_RECOVERY, VKCLIP_EIO,
     "its last changes are in a -wal or -journal file beside it, which can be read only in a "
     "folder "
     "that can be written to: copy both files to one"},
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
    {SQLITE_INTERRUPT, VKCLIP_ECANCELLED, "stopped by the caller"},
};

static int fail(const struct sqlite *sqlite, int code)
{
    if ((code & 0xff) == SQLITE_BUSY && progress_is_cancelled() && !sqlite->cleans_up)
        code = SQLITE_INTERRUPT;
    const int system = sqlite->connection ? sqlite3_system_errno(sqlite->connection) : 0;
    const bool by_system =
        system && ((code & 0xff) == SQLITE_CANTOPEN || (code & 0xff) == SQLITE_IOERR);
    const char *reason =
        by_system ? process_error_text(system) : sqlite3_errmsg(sqlite->connection);
    for (size_t i = 0; i < ARRAY_COUNT(failures); i++)
        if (failures[i].code == code || failures[i].code == (code & 0xff))
            return error_fail(failures[i].error, "%s: %s%s%s", sqlite->database.name,
                              failures[i].text, by_system ? ": " : "", by_system ? reason : "");
    return error_fail(VKCLIP_EIO, "%s: cannot be read or written: %s", sqlite->database.name,
                      reason);
}

static const struct database_driver driver;

/* ---- Cancelling ------------------------------------------------------------------------------ */

/* Asks the program while a statement runs: nonzero stops it. */
static int ask(void *user)
{
    const struct sqlite *sqlite = user;
    return !sqlite->cleans_up && progress_check_within();
}

/* Waits for another process. Returns 0 to give up. */
static int wait_for_others(void *user, int waits)
{
    struct sqlite *sqlite = user;
    if (!waits)
        sqlite->waits_until =
            clock_seconds() + (sqlite->cleans_up ? BUSY_CLEANUP_SECONDS : BUSY_SECONDS);
    if (clock_seconds() >= sqlite->waits_until || ask(user))
        return 0;
    clock_sleep(waits < 10 ? 0.001 * (waits + 1) : CLOCK_MOMENT);
    return 1;
}

/* ---- Opening --------------------------------------------------------------------------------- */

/* Makes a URI of a path, in which SQLite gives a meaning to ?, # and %, and to two slashes at the
 * beginning, after which a host's name would follow. */
static char *make_uri(const char *file, const char *parameters)
{
    char *native = file_native(file);
    char *uri = native ? memory_alloc(3 * strlen(native) + strlen(parameters) + 8) : NULL;
    char *next = uri;
    if (!uri) {
        memory_free(native);
        return NULL;
    }
    const char *path = native;
    next += sprintf(next, *path == '/' ? "file://" : "file:");
    for (; *path; path++)
        next += sprintf(next, strchr("?#%", *path) ? "%%%02x" : "%c", (unsigned char)*path);
    strcpy(next, parameters);
    memory_free(native);
    return uri;
}

/* Returns the part of SQLite on Windows that takes long paths, or NULL for what it uses by itself.
 */
static const char *find_system(void)
{
    static const char name[] = "win32-longpath";
    return sqlite3_vfs_find(name) ? name : NULL;
}

static int open_database(struct sqlite *sqlite, const char *parameters, int flags)
{
    char *uri = make_uri(sqlite->database.name, parameters);
    if (!uri)
        return SQLITE_NOMEM;
    sqlite3_close(sqlite->connection);
    int code = sqlite3_open_v2(uri, &sqlite->connection,
                               flags | SQLITE_OPEN_URI | SQLITE_OPEN_FULLMUTEX, find_system());
    memory_free(uri);
    if (!code) {
        sqlite3_extended_result_codes(sqlite->connection, 1);
        sqlite3_busy_handler(sqlite->connection, wait_for_others, sqlite);
        sqlite3_progress_handler(sqlite->connection, STEPS, ask, sqlite);
        /* The file itself is first read by a statement. */
        code = sqlite3_exec(sqlite->connection, "SELECT count(*) FROM sqlite_master", NULL, NULL,
                            NULL);
    }
    return code;
}

/* Tells whether a file beside the database has changes that are not in it. */
static bool has_log(const struct sqlite *sqlite)
{
    static const char *const endings[] = {"-wal", "-journal"};
    bool found = false;
    for (size_t i = 0; i < ARRAY_COUNT(endings) && !found; i++) {
        struct file_status status;
        char *path = string_format("%s%s", sqlite->database.name, endings[i]);
        found = !path || (file_status(path, &status) && status.size > 0);
        memory_free(path);
    }
    return found;
}

/* A database in WAL mode in a folder that cannot be written to needs a file that cannot be made. It
 * is then read as a file that nobody changes, which leaves out what is only in its log. */
static int open_read_only(struct sqlite *sqlite)
{
    int code = open_database(sqlite, "", SQLITE_OPEN_READONLY);
    if ((code & 0xff) != SQLITE_CANTOPEN && (code & 0xff) != SQLITE_READONLY)
        return code;
    code = open_database(sqlite, "?immutable=1", SQLITE_OPEN_READONLY);
    return !code && has_log(sqlite) ? SQLITE_READONLY_RECOVERY : code;
}

int sqlite_open(const char *path, enum sqlite_mode mode, struct sqlite *sqlite)
{
    int code = SQLITE_NOMEM;
    *sqlite = (struct sqlite){.database = {&driver, string_format("%s", path)}};
    if (!sqlite->database.name)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (mode == SQLITE_MODE_READ)
        code = open_read_only(sqlite);
    else
        code = open_database(sqlite, "", SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE);
    int error = code ? fail(sqlite, code) : VKCLIP_OK;
    if (error)
        sqlite_close(sqlite);
    return error;
}

void sqlite_close(struct sqlite *sqlite)
{
    for (size_t i = 0; i < ARRAY_COUNT(sqlite->statements); i++)
        sqlite3_finalize(sqlite->statements[i].statement);
    sqlite3_close_v2(sqlite->connection);
    memory_free(sqlite->database.name);
    *sqlite = (struct sqlite){0};
}

/* ---- Statements ------------------------------------------------------------------------------ */

/* A call that was cancelled may still write what is complete, and ends its transaction. */
static void begin_statement(struct sqlite *sqlite)
{
    sqlite->cleans_up = progress_is_cancelled();
}

static int execute(struct database *database, const char *text)
{
    struct sqlite *sqlite = (struct sqlite *)database;
    begin_statement(sqlite);
    int code = sqlite3_exec(sqlite->connection, text, NULL, NULL, NULL);
    return code ? fail(sqlite, code) : VKCLIP_OK;
}

/* SQLite may have ended the transaction itself, which is no error. */
static void rollback(struct database *database)
{
    struct sqlite *sqlite = (struct sqlite *)database;
    begin_statement(sqlite);
    sqlite3_exec(sqlite->connection, "ROLLBACK", NULL, NULL, NULL);
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
    if (type == 'p')
        return bind_bytes(statement, place, data, strlen(data));
    const size_t size = va_arg(*values, size_t);
    return bind_bytes(statement, place, data, type == 'h' ? size * sizeof(uint16_t) : size);
}

/* SQLite numbers names such as $2 in the order in which a statement first has them. */
static int bind(const struct sqlite *sqlite, sqlite3_stmt *statement, const char *types,
                va_list values)
{
    int code = SQLITE_OK;
    va_list rest;
    va_copy(rest, values); /* A parameter's address may have another type than a va_list's. */
    sqlite3_reset(statement);
    for (int i = 0; types[i] && !code; i++) {
        char name[16];
        snprintf(name, sizeof(name), "$%d", i + 1);
        code =
            bind_value(statement, sqlite3_bind_parameter_index(statement, name), types[i], &rest);
    }
    va_end(rest);
    return code ? fail(sqlite, code) : VKCLIP_OK;
}

/* Steps to the next row; *row is false after the last, where the statement is reset. */
static int step(const struct sqlite *sqlite, sqlite3_stmt *statement, bool *row)
{
    const int code = sqlite3_step(statement);
    *row = code == SQLITE_ROW;
    if (*row)
        return VKCLIP_OK;
    int error = code == SQLITE_DONE ? VKCLIP_OK : fail(sqlite, code);
    sqlite3_reset(statement);
    return error;
}

static int prepare(const struct sqlite *sqlite, const char *text, sqlite3_stmt **statement)
{
    int code = sqlite3_prepare_v2(sqlite->connection, text, -1, statement, NULL);
    return code ? fail(sqlite, code) : VKCLIP_OK;
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

static int find(struct database *database, const char *text, struct row *row, uint64_t *changed,
                const char *types, va_list values)
{
    struct sqlite *sqlite = (struct sqlite *)database;
    sqlite3_stmt *statement = NULL;
    bool found = false;
    begin_statement(sqlite);
    int error = keep_statement(sqlite, text, &statement);
    if (!error)
        error = bind(sqlite, statement, types, values);
    if (!error)
        error = step(sqlite, statement, &found);
    *changed = error ? 0 : (uint64_t)sqlite3_changes(sqlite->connection);
    *row = (struct row){&driver, found ? statement : NULL, 0};
    return error;
}

/* A statement is prepared for each list alone, so that the function may list the same. */
static int each(struct database *database, const char *text, row_fn *fn, void *user,
                const char *types, va_list values)
{
    struct sqlite *sqlite = (struct sqlite *)database;
    sqlite3_stmt *statement = NULL;
    bool found = true;
    begin_statement(sqlite);
    int error = prepare(sqlite, text, &statement);
    if (!error)
        error = bind(sqlite, statement, types, values);
    while (!error && found) {
        error = step(sqlite, statement, &found);
        if (!error && found)
            error = fn(user, &(const struct row){&driver, statement, 0});
    }
    sqlite3_finalize(statement);
    return error;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

static int64_t read_number(const struct row *row, int column)
{
    return sqlite3_column_int64(row->rows, column);
}

static double read_double(const struct row *row, int column)
{
    return sqlite3_column_type(row->rows, column) == SQLITE_NULL
               ? (double)NAN
               : sqlite3_column_double(row->rows, column);
}

static const char *read_text(const struct row *row, int column)
{
    return (const char *)sqlite3_column_text(row->rows, column);
}

static const void *read_bytes(const struct row *row, int column, size_t *size)
{
    const void *bytes = sqlite3_column_blob(row->rows, column);
    *size = (size_t)sqlite3_column_bytes(row->rows, column);
    return bytes;
}

static size_t read_halves(const struct row *row, int column, uint16_t *values, size_t count)
{
    size_t size;
    const void *bytes = read_bytes(row, column, &size);
    if (size && size == count * sizeof(*values))
        memcpy(values, bytes, size);
    return size;
}

static void release(struct row *row)
{
    sqlite3_reset(row->rows);
}

static const struct database_driver driver = {
    .execute = execute,
    .rollback = rollback,
    .find = find,
    .each = each,
    .read_number = read_number,
    .read_double = read_double,
    .read_text = read_text,
    .read_bytes = read_bytes,
    .read_halves = read_halves,
    .release = release,
};
