/* SPDX-License-Identifier: MIT
 *
 * Values go to the server and come back in their binary forms, in the network's order of bytes, so
 * that embeddings are neither written nor read as text.
 */
#include "search/postgres.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/poll.h"
#include "base/progress.h"
#include "base/string.h"
#include "search/store.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    OLDEST_SERVER = 140000, /* whose rtrim takes bytes */
    FETCH_ROWS = 512,       /* that wait in memory while rows are listed: half a MiB of vectors */
};

/* ---- Errors ---------------------------------------------------------------------------------- */

static const struct {
    const char *state;
    int error;
    const char *text;
} failures[] = {
    {"55P03", VKCLIP_EIO,
     "locked by another process for half a minute: try again when that has ended"},
    {"25006", VKCLIP_EIO, "cannot be written to: the database or this connection is read-only"},
    {"42501", VKCLIP_EIO, "no permission"},
    {"53100", VKCLIP_EIO,
     "the server's disk is full; all earlier batches are in the index: free some space and try "
     "again"},
    {"53200", VKCLIP_EIO, "the server is out of memory"},
    {"57014", VKCLIP_EIO, "the server has cancelled a statement"},
    {"XX001", VKCLIP_EFORMAT, "damaged database: restore it from a backup"},
    {"XX002", VKCLIP_EFORMAT, "damaged database: restore it from a backup"},
};

/* Fails with what the server says about a statement, or the library about the connection. Its
 * messages may have several lines, of which the first says what happened. */
static int fail(const struct postgres *postgres, const PGresult *result)
{
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *reason = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (!reason)
        reason = PQerrorMessage(postgres->connection);
    const int length = (int)strcspn(reason, "\n");
    for (size_t i = 0; state && i < ARRAY_COUNT(failures); i++)
        if (!strcmp(failures[i].state, state))
            return error_fail(failures[i].error, "%s: %s: %.*s", postgres->database.name,
                              failures[i].text, length, reason);
    if (PQstatus(postgres->connection) != CONNECTION_OK)
        return error_fail(VKCLIP_EIO, "%s: no connection to the database: %.*s",
                          postgres->database.name, length, reason);
    return error_fail(VKCLIP_EIO, "%s: cannot be read or written: %.*s", postgres->database.name,
                      length, reason);
}

/* Checks a result. After an error it is freed. */
static int check(const struct postgres *postgres, PGresult **result)
{
    const ExecStatusType status = PQresultStatus(*result);
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        return VKCLIP_OK;
    const bool stopped = postgres->stopped && PQstatus(postgres->connection) == CONNECTION_OK;
    int error = stopped ? error_fail(VKCLIP_ECANCELLED, "%s: stopped by the caller",
                                     postgres->database.name)
                        : fail(postgres, *result);
    PQclear(*result);
    *result = NULL;
    return error;
}

static const struct database_driver driver;

/* ---- Opening --------------------------------------------------------------------------------- */

static void ignore_notice(void *user, const PGresult *result)
{
    (void)user;
    (void)result;
}

/* Tells whether a URI can be parsed, and has no @ or / within its password: those would make a part
 * of the password the name of a host, which messages name. */
static bool is_uri_right(const char *uri)
{
    const char *start = strstr(uri, "://") + 3;
    const char *at = strchr(start, '@'), *slash = strchr(start, '/');
    const bool strange = at && ((slash && slash < at) || memchr(at + 1, '@', strcspn(at + 1, "?")));
    PQconninfoOption *options = strange ? NULL : PQconninfoParse(uri, NULL);
    PQconninfoFree(options);
    return options != NULL;
}

static int check_server(const struct postgres *postgres)
{
    const int version = PQserverVersion(postgres->connection);
    const char *encoding = PQparameterStatus(postgres->connection, "server_encoding");
    if (version < OLDEST_SERVER)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: expected PostgreSQL %d or newer, found %d",
                          postgres->database.name, OLDEST_SERVER / 10000, version / 10000);
    if (encoding && strcmp(encoding, "UTF8") != 0 && strcmp(encoding, "SQL_ASCII") != 0)
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: expected a database in UTF8, found %s",
                          postgres->database.name, encoding);
    return VKCLIP_OK;
}

static int connect_to(const char *uri, struct postgres *postgres)
{
    /* What follows `dbname` cannot be overridden by the URI. */
    const char *const keywords[] = {"connect_timeout", "fallback_application_name", "dbname",
                                    "client_encoding", NULL};
    const char *const values[] = {"30", "vkclip", uri, "UTF8", NULL};
    postgres->connection = PQconnectdbParams(keywords, values, 1);
    if (!postgres->connection)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", postgres->database.name);
    PQsetNoticeReceiver(postgres->connection, ignore_notice, NULL);
    if (PQstatus(postgres->connection) != CONNECTION_OK)
        return fail(postgres, NULL);
    int error = check_server(postgres);
    /* A pooler may give a session that another process has used. */
    return error ? error : database_execute(&postgres->database, "DISCARD ALL");
}

int postgres_open(const char *uri, struct postgres *postgres)
{
    *postgres = (struct postgres){.database = {&driver, store_shown_name(uri)}};
    int error = VKCLIP_OK;
    if (!postgres->database.name)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for the name of a database");
    else if (!is_uri_right(uri))
        error = error_fail(VKCLIP_EINVALID,
                           "%s: expected postgresql://USER:PASSWORD@HOST/DATABASE, in which other "
                           "characters than letters and digits are written as %%XX",
                           postgres->database.name);
    else
        error = connect_to(uri, postgres);
    if (error)
        postgres_close(postgres);
    return error;
}

void postgres_close(struct postgres *postgres)
{
    PQfinish(postgres->connection);
    memory_free(postgres->database.name);
    *postgres = (struct postgres){0};
}

/* ---- Statements ------------------------------------------------------------------------------ */

/* Tells the server to stop the statement that runs. */
static void stop_statement(struct postgres *postgres)
{
    char reason[256];
    PGcancel *cancel = PQgetCancel(postgres->connection);
    postgres->stopped = true;
    if (cancel)
        PQcancel(cancel, reason, sizeof(reason));
    PQfreeCancel(cancel);
}

/* Waits until the connection has a result, and asks the program meanwhile. */
static void wait_for_result(struct postgres *postgres)
{
    const bool cleans_up = progress_is_cancelled();
    while (PQisBusy(postgres->connection)) {
        poll_readable(PQsocket(postgres->connection),
                      progress_asks() ? CLOCK_MOMENT : (double)INFINITY);
        if (!PQconsumeInput(postgres->connection))
            return;
        /* A call that was cancelled before may still write what is complete. */
        if (!cleans_up && !postgres->stopped && progress_check_within())
            stop_statement(postgres);
    }
}

/* Returns the last result of statements that were sent; NULL: they could not be sent. */
static PGresult *receive(struct postgres *postgres, int sent)
{
    PGresult *last = NULL, *next = NULL;
    postgres->stopped = false;
    if (!sent)
        return NULL;
    do {
        PQclear(last);
        last = next;
        wait_for_result(postgres);
        next = PQgetResult(postgres->connection);
    } while (next);
    return last;
}

static int execute(struct database *database, const char *text)
{
    struct postgres *postgres = (struct postgres *)database;
    PGresult *result = receive(postgres, PQsendQuery(postgres->connection, text));
    int error = check(postgres, &result);
    PQclear(result);
    return error;
}

static void rollback(struct database *database)
{
    PQclear(PQexec(((struct postgres *)database)->connection, "ROLLBACK"));
}

/* Names a statement by its place in the list, and lets the server prepare it the first time. Where
 * there are too many, a statement has no name and is prepared whenever it runs. */
static int name_statement(struct postgres *postgres, const char *text,
                          const struct postgres_values *values, char *name, size_t size)
{
    size_t place = 0;
    *name = 0;
    while (place < ARRAY_COUNT(postgres->statements) && postgres->statements[place] &&
           postgres->statements[place] != text)
        place++;
    if (place < ARRAY_COUNT(postgres->statements))
        snprintf(name, size, "s%zu", place);
    if (*name && postgres->statements[place])
        return VKCLIP_OK;
    const int sent = PQsendPrepare(postgres->connection, name, text, values->count, values->types);
    PGresult *result = receive(postgres, sent);
    int error = check(postgres, &result);
    PQclear(result);
    if (!error && *name)
        postgres->statements[place] = text;
    return error;
}

static int find(struct database *database, const char *text, struct row *row, uint64_t *changed,
                const char *types, va_list arguments)
{
    struct postgres *postgres = (struct postgres *)database;
    struct postgres_values values;
    char name[16];
    *row = (struct row){.driver = &driver};
    *changed = 0;
    int error = postgres_values_make(&values, types, arguments);
    if (!error)
        error = name_statement(postgres, text, &values, name, sizeof(name));
    if (!error) {
        const int sent = PQsendQueryPrepared(postgres->connection, name, values.count, values.data,
                                             values.sizes, values.formats, 1);
        PGresult *rows = receive(postgres, sent);
        error = check(postgres, &rows);
        *changed = error ? 0 : strtoull(PQcmdTuples(rows), NULL, 10);
        if (PQntuples(rows))
            row->rows = rows;
        else
            PQclear(rows);
    }
    postgres_values_free(&values);
    return error;
}

/* ---- Lists ----------------------------------------------------------------------------------- */

static int open_cursor(struct postgres *postgres, unsigned number, const char *text,
                       const char *types, va_list arguments)
{
    struct postgres_values values;
    char *declaration = string_format("DECLARE list%u NO SCROLL CURSOR FOR %s", number, text);
    int error = declaration ? postgres_values_make(&values, types, arguments)
                            : error_fail(VKCLIP_EMEMORY, "out of memory for a statement");
    if (!error) {
        const int sent =
            PQsendQueryParams(postgres->connection, declaration, values.count, values.types,
                              values.data, values.sizes, values.formats, 1);
        PGresult *result = receive(postgres, sent);
        error = check(postgres, &result);
        PQclear(result);
    }
    if (declaration)
        postgres_values_free(&values);
    memory_free(declaration);
    return error;
}

/* Reads the next rows of a cursor; *count is 0 after the last. */
static int fetch_rows(struct postgres *postgres, unsigned number, row_fn *fn, void *user,
                      int *count)
{
    char text[64];
    snprintf(text, sizeof(text), "FETCH %d FROM list%u", FETCH_ROWS, number);
    const int sent = PQsendQueryParams(postgres->connection, text, 0, NULL, NULL, NULL, NULL, 1);
    PGresult *rows = receive(postgres, sent);
    int error = check(postgres, &rows);
    *count = PQntuples(rows);
    for (int i = 0; i < *count && !error; i++)
        error = fn(user, &(const struct row){&driver, rows, i});
    PQclear(rows);
    return error;
}

/* A cursor lives within a transaction. Where none is open, the list has one of its own. */
static int each(struct database *database, const char *text, row_fn *fn, void *user,
                const char *types, va_list arguments)
{
    struct postgres *postgres = (struct postgres *)database;
    const bool alone = PQtransactionStatus(postgres->connection) == PQTRANS_IDLE;
    const unsigned number = postgres->cursors++;
    int count = 1, error = alone ? execute(database, "BEGIN") : VKCLIP_OK;
    if (!error)
        error = open_cursor(postgres, number, text, types, arguments);
    while (!error && count)
        error = fetch_rows(postgres, number, fn, user, &count);
    char end[64];
    snprintf(end, sizeof(end), alone ? "COMMIT" : "CLOSE list%u", number);
    PQclear(PQexec(postgres->connection, end)); /* The first error has been reported. */
    return error;
}

static void release(struct row *row)
{
    PQclear(row->rows);
}

static const struct database_driver driver = {
    .execute = execute,
    .rollback = rollback,
    .find = find,
    .each = each,
    .read_number = postgres_read_number,
    .read_double = postgres_read_double,
    .read_text = postgres_read_text,
    .read_bytes = postgres_read_bytes,
    .read_halves = postgres_read_halves,
    .release = release,
};
