/* SPDX-License-Identifier: MIT
 *
 * The functions of the PostgreSQL store for a pass over the files, which several processes may do
 * at the same time, on one machine or on several.
 *
 * Every process lists the files that it finds in a temporary table of its own, because another
 * machine may not have them. Before a path is read, it is claimed: the table `work` has a row for
 * it with the number of the process. A process holds an advisory lock of its number as long as it
 * is connected, so that the claims of one that was killed are free at once. A claim ends in the
 * transaction that writes the file's row, and others leave out what was written since they began.
 */
#include "search/postgres_store.h"
#include "base/string.h"

/* Paths that are claimed at once. More would leave a process without work in the end while another
 * has some left, and fewer would take more time on slow networks. */
#define CLAIM "16"
enum { CLAIM_PATHS = 16 };

/* The numbers of the processes that are connected. */
#define WORKERS                                                        \
    "(SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory'"  \
    " AND classid = " POSTGRES_LOCK " AND objsubid = 2 AND database =" \
    " (SELECT oid FROM pg_database WHERE datname = current_database()))"

/* The paths of the list of work that were not claimed yet. */
#define PART "mine.number > $2 AND mine.number <= $2 + " CLAIM

static const char pass_schema[] =
    "CREATE TEMP TABLE IF NOT EXISTS pass_seen(path bytea PRIMARY KEY);"
    "CREATE TEMP TABLE IF NOT EXISTS pass_work(number bigint PRIMARY KEY, path bytea NOT NULL);"
    "TRUNCATE pass_seen, pass_work;"
    "DELETE FROM work WHERE worker NOT IN " WORKERS;

/* ---- Beginning ------------------------------------------------------------------------------- */

/* Takes a number and the lock that tells others that this process is there. */
static int become_worker(struct postgres_store *store)
{
    int64_t ignored;
    if (store->pass.worker)
        return VKCLIP_OK;
    int error = postgres_find_number(&store->postgres, "SELECT nextval('worker')", 0,
                                     &store->pass.worker, "");
    if (!error)
        error = postgres_find_number(&store->postgres,
                                     "SELECT pg_try_advisory_lock(" POSTGRES_LOCK ", $1::int)", 0,
                                     &ignored, "i", store->pass.worker);
    return error;
}

int postgres_start_pass(struct store *store)
{
    struct postgres_store *postgres = (struct postgres_store *)store;
    postgres_end_pass(postgres);
    int error = become_worker(postgres);
    if (!error)
        error = postgres_execute(&postgres->postgres, pass_schema);
    if (!error)
        error = postgres_find_number(&postgres->postgres, "SELECT " POSTGRES_CLOCK, 0,
                                     &postgres->pass.started, "");
    return error;
}

void postgres_end_pass(struct postgres_store *store)
{
    struct postgres_pass *pass = &store->pass;
    PQclear(pass->claimed);
    *pass = (struct postgres_pass){.worker = pass->worker};
    if (PQtransactionStatus(store->postgres.connection) == PQTRANS_IDLE && pass->worker)
        postgres_run(&store->postgres, "DELETE FROM work WHERE worker = $1", NULL, "i",
                     pass->worker);
}

/* ---- Finding files --------------------------------------------------------------------------- */

static bool is_same_stamp(struct postgres_row row, const struct store_stamp *stamp)
{
    return (uint64_t)postgres_number(row, 0) == stamp->size &&
           (uint64_t)postgres_number(row, 1) == stamp->inode &&
           postgres_number(row, 2) == stamp->modified && postgres_number(row, 3) == stamp->changed;
}

static enum store_state read_state(struct postgres_row row, const struct store_stamp *stamp)
{
    if (!is_same_stamp(row, stamp))
        return STORE_UNKNOWN;
    if (postgres_number(row, 4))
        return STORE_FAILED;
    return postgres_number(row, 5) ? STORE_INDEXED : STORE_UNENCODED;
}

int postgres_see_file(struct store *store, const char *path, const struct store_stamp *stamp,
                      int64_t model, enum store_state *state)
{
    PGresult *rows;
    ((struct postgres_store *)store)->pass.model = model;
    int error = postgres_find(
        postgres_of_store(store),
        "WITH seen AS (INSERT INTO pass_seen VALUES($1) ON CONFLICT DO NOTHING)"
        " SELECT file.size, file.inode, file.modified, file.changed,"
        " file.error <> 0 OR coalesce(content.error, 0) <> 0, EXISTS(SELECT 1 FROM vector"
        " WHERE vector.model = $2 AND vector.content = file.content)"
        " FROM file LEFT JOIN content ON content.id = file.content WHERE file.path = $1",
        &rows, "pi", path, model);
    *state = STORE_UNKNOWN;
    if (!error && PQntuples(rows))
        *state = read_state((struct postgres_row){rows, 0}, stamp);
    PQclear(rows);
    return error;
}

int postgres_see_folder(struct store *store, const char *path)
{
    return postgres_run(
        postgres_of_store(store),
        "INSERT INTO pass_seen SELECT path FROM file WHERE missing = 0 AND " POSTGRES_BELOW
        " ON CONFLICT DO NOTHING",
        NULL, "p", path);
}

/* A file that another process has written since this pass began is there, whether this one has seen
 * it or not. */
int postgres_mark_missing(struct store *store, const char *path, int64_t now)
{
    const int64_t started = ((struct postgres_store *)store)->pass.started;
    int error = postgres_run(postgres_of_store(store),
                             "UPDATE file SET missing = $2 WHERE missing = 0 AND " POSTGRES_BELOW
                             " AND written < $3 AND NOT EXISTS(SELECT 1 FROM pass_seen"
                             " WHERE pass_seen.path = file.path)",
                             NULL, "pii", path, now, started);
    return error ? error
                 : postgres_run(postgres_of_store(store),
                                "UPDATE file SET missing = 0 WHERE missing <> 0"
                                " AND " POSTGRES_BELOW " AND EXISTS(SELECT 1 FROM pass_seen"
                                " WHERE pass_seen.path = file.path)",
                                NULL, "p", path);
}

/* ---- Work ------------------------------------------------------------------------------------ */

int postgres_add_work(struct store *store, const char *path)
{
    struct postgres_pass *pass = &((struct postgres_store *)store)->pass;
    return postgres_run(postgres_of_store(store), "INSERT INTO pass_work VALUES($1, $2)", NULL,
                        "ip", ++pass->listed, path);
}

/* Adds the next paths of the list to the work of all, without those that are done since. */
static int offer_work(struct postgres_store *store)
{
    const struct postgres_pass *pass = &store->pass;
    return postgres_run(
        &store->postgres,
        "INSERT INTO work(path, model) SELECT mine.path, $1 FROM pass_work AS mine WHERE " PART
        " AND NOT EXISTS(SELECT 1 FROM file LEFT JOIN content ON content.id = file.content"
        " WHERE file.path = mine.path AND file.written >= $3 AND (file.error <> 0"
        " OR content.error <> 0 OR EXISTS(SELECT 1 FROM vector"
        " WHERE vector.model = $1 AND vector.content = file.content))) ON CONFLICT DO NOTHING",
        NULL, "iii", pass->model, pass->asked, pass->started);
}

/* Claims those of them that no other process has, or is about to get. */
static int claim_work(struct postgres_store *store)
{
    struct postgres_pass *pass = &store->pass;
    return postgres_find(
        &store->postgres,
        "WITH free AS (SELECT work.path, mine.number FROM pass_work AS mine JOIN work"
        " ON work.path = mine.path AND work.model = $1 WHERE " PART
        " AND work.worker NOT IN " WORKERS " FOR UPDATE OF work SKIP LOCKED),"
        " claimed AS (UPDATE work SET worker = $3 FROM free WHERE work.path = free.path"
        " AND work.model = $1 RETURNING free.number, free.path)"
        " SELECT number, path FROM claimed ORDER BY number",
        &pass->claimed, "iii", pass->model, pass->asked, pass->worker);
}

int postgres_next_work(struct store *store, int64_t after, struct store_work *work)
{
    struct postgres_store *postgres = (struct postgres_store *)store;
    struct postgres_pass *pass = &postgres->pass;
    int error = VKCLIP_OK;
    (void)after; /* Claimed paths are given once, in the order of their numbers. */
    *work = (struct store_work){0};
    while (!error && pass->next >= PQntuples(pass->claimed) && pass->asked < pass->listed) {
        PQclear(pass->claimed);
        pass->claimed = NULL;
        pass->next = 0;
        error = offer_work(postgres);
        if (!error)
            error = claim_work(postgres);
        pass->asked += CLAIM_PATHS;
    }
    if (error || pass->next >= PQntuples(pass->claimed))
        return error;
    const struct postgres_row row = {pass->claimed, pass->next++};
    *work = (struct store_work){.number = postgres_number(row, 0),
                                .path = string_format("%s", postgres_text(row, 1))};
    return work->path ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for a path");
}

int postgres_end_work(struct postgres_store *store, const char *path)
{
    if (!store->pass.worker)
        return VKCLIP_OK;
    return postgres_run(&store->postgres, "DELETE FROM work WHERE path = $1 AND worker = $2", NULL,
                        "pi", path, store->pass.worker);
}
