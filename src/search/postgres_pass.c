/* SPDX-License-Identifier: MIT
 *
 * The functions of the PostgreSQL store for a pass over the files, which several processes may do
 * at the same time, on one machine or on several.
 *
 * Every process lists the files that it finds in a temporary table of its own, because another
 * machine may not have them. Before a path is read, it is claimed: the table `work` has a row for
 * it with the number of the process. A content is claimed before it is encoded, because others may
 * read copies of it; who finds it claimed waits until it is written. A process holds an advisory
 * lock of its number as long as it is connected, so that the claims of one that was killed are free
 * at once. A claim ends in the transaction that writes the file's row, and others leave out what
 * was written since they began.
 */
#include "search/postgres_store.h"

/* Paths that are claimed at once. More would leave a process without work in the end while another
 * has some left, and fewer would take more time on slow networks. */
#define CLAIM "16"
enum { CLAIM_PATHS = 16 };

/* The numbers of the processes that are connected. */
#define WORKERS                                                        \
    "(SELECT objid::bigint FROM pg_locks WHERE locktype = 'advisory'"  \
    " AND classid = " POSTGRES_LOCK " AND objsubid = 2 AND database =" \
    " (SELECT oid FROM pg_database WHERE datname = current_database()))"

/* A content is claimed as if it were a path: no path has a NUL before it. */
#define CONTENT(hash) "('\\x00'::bytea || " hash ")"

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
    int error = database_find_number(store->sql.database, "SELECT nextval('worker')", 0,
                                     &store->pass.worker, "");
    if (!error)
        error = database_find_number(store->sql.database,
                                     "SELECT pg_try_advisory_lock(" POSTGRES_LOCK ", $1::int)", 0,
                                     &ignored, "i", store->pass.worker);
    return error;
}

int postgres_start_pass(struct store *store)
{
    struct postgres_store *postgres = (struct postgres_store *)store;
    postgres_end_pass(store);
    int error = become_worker(postgres);
    if (!error)
        error = database_execute(postgres->sql.database, pass_schema);
    if (!error)
        error = database_find_number(postgres->sql.database, "SELECT " POSTGRES_CLOCK, 0,
                                     &postgres->sql.pass_started, "");
    return error;
}

void postgres_end_pass(struct store *store)
{
    const struct postgres_store *postgres = (struct postgres_store *)store;
    struct postgres_pass *pass = &((struct postgres_store *)store)->pass;
    row_release(&pass->claimed);
    *pass = (struct postgres_pass){.worker = pass->worker};
    if (PQtransactionStatus(postgres->postgres.connection) == PQTRANS_IDLE && pass->worker)
        database_run(sql_database(store), "DELETE FROM work WHERE worker = $1", NULL, "i",
                     pass->worker);
}

/* ---- Work ------------------------------------------------------------------------------------ */

int postgres_add_work(struct store *store, const char *path)
{
    struct postgres_pass *pass = &((struct postgres_store *)store)->pass;
    return database_run(sql_database(store), "INSERT INTO pass_work VALUES($1, $2)", NULL, "ip",
                        ++pass->listed, path);
}

/* Adds the next paths of the list to the work of all, without those that are done since. */
static int offer_work(struct postgres_store *store)
{
    const struct postgres_pass *pass = &store->pass;
    return database_run(
        store->sql.database,
        "INSERT INTO work(path, model) SELECT mine.path, $1 FROM pass_work AS mine WHERE " PART
        " AND NOT EXISTS(SELECT 1 FROM file LEFT JOIN content ON content.id = file.content"
        " WHERE file.path = mine.path AND file.written >= $3 AND (file.error <> 0"
        " OR content.error <> 0 OR EXISTS(SELECT 1 FROM vector"
        " WHERE vector.model = $1 AND vector.content = file.content) AND ($4 = 0 OR"
        " EXISTS(SELECT 1 FROM thumbnail WHERE thumbnail.content = file.content))))"
        " ON CONFLICT DO NOTHING",
        NULL, "iiii", store->sql.pass_model, pass->asked, store->sql.pass_started,
        (int64_t)store->sql.pass_thumbnail);
}

/* Claims those of them that no other process has, or is about to get. */
static int claim_work(struct postgres_store *store)
{
    struct postgres_pass *pass = &store->pass;
    return database_find(
        store->sql.database,
        "WITH free AS (SELECT work.path, mine.number FROM pass_work AS mine JOIN work"
        " ON work.path = mine.path AND work.model = $1 WHERE " PART
        " AND work.worker NOT IN " WORKERS " FOR UPDATE OF work SKIP LOCKED),"
        " claimed AS (UPDATE work SET worker = $3 FROM free WHERE work.path = free.path"
        " AND work.model = $1 RETURNING free.number, free.path)"
        " SELECT number, path FROM claimed ORDER BY number",
        &pass->claimed, "iii", store->sql.pass_model, pass->asked, pass->worker);
}

int postgres_next_work(struct store *store, int64_t after, struct store_work *work)
{
    struct postgres_store *postgres = (struct postgres_store *)store;
    struct postgres_pass *pass = &postgres->pass;
    int error = VKCLIP_OK;
    (void)after; /* Claimed paths are given once, in the order of their numbers. */
    *work = (struct store_work){0};
    while (!error && !pass->claimed.rows && pass->asked < pass->listed) {
        error = offer_work(postgres);
        if (!error)
            error = claim_work(postgres);
        pass->asked += CLAIM_PATHS;
    }
    if (error || !pass->claimed.rows)
        return error;
    error = sql_read_work(&pass->claimed, work);
    if (++pass->claimed.number == PQntuples(pass->claimed.rows))
        row_release(&pass->claimed);
    return error;
}

int postgres_claim_content(struct store *store, const struct store_hash *hash, int64_t model,
                           bool *claimed)
{
    int64_t worker;
    int error = database_find_number(
        sql_database(store),
        "INSERT INTO work VALUES(" CONTENT(
            "$1") ", $2, $3) ON CONFLICT(path, model) DO UPDATE"
                  " SET worker = $3 WHERE work.worker = $3 OR work.worker NOT IN " WORKERS
                  " RETURNING worker",
        0, &worker, "bii", hash->bytes, sizeof(hash->bytes), model,
        ((struct postgres_store *)store)->pass.worker);
    *claimed = worker;
    return error;
}

int postgres_drop_work(struct store *store, const char *path, const struct store_hash *hash)
{
    return database_run(sql_database(store),
                        "DELETE FROM work WHERE path IN ($1, " CONTENT("$2") ") AND worker = $3",
                        NULL, "pbi", path, hash->bytes, sizeof(hash->bytes),
                        ((struct postgres_store *)store)->pass.worker);
}

int postgres_put_file(struct store *store, const char *path, const struct store_stamp *stamp,
                      int64_t content, int failure, const char *message, int64_t *before)
{
    const int64_t worker = ((struct postgres_store *)store)->pass.worker;
    int error = sql_writers.put_file(store, path, stamp, content, failure, message, before);
    if (error || !worker)
        return error;
    return database_run(sql_database(store),
                        "DELETE FROM work WHERE path IN ($1, (SELECT " CONTENT(
                            "hash") " FROM content WHERE id = $2)) AND worker = $3",
                        NULL, "pii", path, content, worker);
}
