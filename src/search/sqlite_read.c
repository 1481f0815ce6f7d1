/* SPDX-License-Identifier: MIT
 *
 * The functions of the SQLite store that read. Functions that list rows prepare a statement of
 * their own, so that the caller's function may read from the store meanwhile.
 */
#ifdef VKCLIP_WITH_SEARCH
#include "search/sqlite_store.h"
#include "base/array.h"
#include "base/string.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PICTURE                                                                            \
    "SELECT content.id, path, size, modified, format, camera, width, height, orientation," \
    " taken, latitude, longitude FROM content JOIN file ON file.content = content.id"      \
    " AND missing = 0"

/* ---- Rows ------------------------------------------------------------------------------------ */

/* A function of the caller, while sqlite_each lists rows. */
struct listing {
    union {
        store_model_fn *model;
        store_vector_fn *vector;
        store_picture_fn *picture;
        store_id_fn *id;
        store_pair_fn *pair;
        vkclip_folder_fn *path;
        vkclip_failure_fn *failure;
    } fn;
    void *user;
    size_t bytes; /* of a vector */
};

static double column_double(sqlite3_stmt *row, int column)
{
    return sqlite3_column_type(row, column) == SQLITE_NULL ? (double)NAN
                                                           : sqlite3_column_double(row, column);
}

static struct store_picture read_picture(sqlite3_stmt *row)
{
    const bool dated = sqlite3_column_type(row, 9) != SQLITE_NULL;
    return (struct store_picture){
        .id = sqlite3_column_int64(row, 0),
        .path = sqlite_text(row, 1),
        .size = (uint64_t)sqlite3_column_int64(row, 2),
        .modified = sqlite3_column_int64(row, 3),
        .facts = {.format = sqlite_text(row, 4),
                  .camera = sqlite_text(row, 5),
                  .width = (uint32_t)sqlite3_column_int64(row, 6),
                  .height = (uint32_t)sqlite3_column_int64(row, 7),
                  .orientation = (uint32_t)sqlite3_column_int64(row, 8),
                  .taken = dated ? sqlite3_column_int64(row, 9) : INT64_MIN,
                  .latitude = column_double(row, 10),
                  .longitude = column_double(row, 11)},
    };
}

static int give_picture(void *user, sqlite3_stmt *row)
{
    const struct listing *listing = user;
    const struct store_picture picture = read_picture(row);
    return picture.path ? listing->fn.picture(listing->user, &picture)
                        : error_fail(VKCLIP_EMEMORY, "out of memory for a path");
}

static int give_id(void *user, sqlite3_stmt *row)
{
    const struct listing *listing = user;
    return listing->fn.id(listing->user, sqlite3_column_int64(row, 0));
}

static int give_pair(void *user, sqlite3_stmt *row)
{
    const struct listing *listing = user;
    return listing->fn.pair(listing->user, sqlite3_column_int64(row, 0),
                            sqlite3_column_int64(row, 1));
}

static int give_path(void *user, sqlite3_stmt *row)
{
    const struct listing *listing = user;
    return listing->fn.path(listing->user, sqlite_text(row, 0));
}

static int give_failure(void *user, sqlite3_stmt *row)
{
    const struct listing *listing = user;
    const char *message = sqlite_text(row, 2);
    const int stop = listing->fn.failure(listing->user, sqlite_text(row, 0),
                                         sqlite3_column_int(row, 1), message ? message : "");
    return stop ? error_fail(VKCLIP_EINVALID, "stopped by the caller") : VKCLIP_OK;
}

static int give_model(void *user, sqlite3_stmt *row)
{
    const struct listing *listing = user;
    struct store_model model = {.id = sqlite3_column_int64(row, 0)};
    snprintf(model.info.identity, sizeof(model.info.identity), "%s", sqlite_text(row, 1));
    snprintf(model.info.name, sizeof(model.info.name), "%s", sqlite_text(row, 2));
    model.info.embed_dim = (uint32_t)sqlite3_column_int64(row, 3);
    model.info.vectors = (uint64_t)sqlite3_column_int64(row, 4);
    return listing->fn.model(listing->user, &model);
}

/* A vector of another length than the model's cannot come from this program. */
static int give_vector(void *user, sqlite3_stmt *row)
{
    const struct listing *listing = user;
    const int64_t id = sqlite3_column_int64(row, 0) & ((INT64_C(1) << SQLITE_KEY_BITS) - 1);
    if ((size_t)sqlite3_column_bytes(row, 1) != listing->bytes)
        return error_fail(VKCLIP_EFORMAT,
                          "damaged database: vector %lld has %d bytes, expected %zu", (long long)id,
                          sqlite3_column_bytes(row, 1), listing->bytes);
    return listing->fn.vector(listing->user, id, sqlite3_column_blob(row, 1));
}

/* ---- Reading --------------------------------------------------------------------------------- */

static int begin(struct store *store)
{
    return sqlite_execute(sqlite_of_store(store), "BEGIN");
}

static int end(struct store *store)
{
    return sqlite_execute(sqlite_of_store(store), "COMMIT");
}

static int count_all(struct store *store, struct vkclip_index_info *info)
{
    struct sqlite *sqlite = sqlite_of_store(store);
    const struct {
        const char *text;
        uint64_t *number;
    } counts[] = {
        {"SELECT count(*) FROM file WHERE missing = 0", &info->files},
        {"SELECT count(DISTINCT content) FROM file WHERE missing = 0", &info->pictures},
        {"SELECT count(*) FROM file WHERE missing <> 0", &info->missing},
        {"SELECT count(*) FROM file LEFT JOIN content ON content.id = content WHERE missing = 0"
         " AND (file.error <> 0 OR content.error <> 0)",
         &info->failed},
        {"SELECT count(*) FROM root", &info->folders},
        {"SELECT count(*) FROM model", &info->models},
    };
    struct stat status;
    int error = VKCLIP_OK;
    *info = (struct vkclip_index_info){0};
    snprintf(info->path, sizeof(info->path), "%s", sqlite->path);
    for (size_t i = 0; i < ARRAY_COUNT(counts) && !error; i++) {
        int64_t number;
        error = sqlite_find_number(sqlite, counts[i].text, 0, &number, "");
        *counts[i].number = (uint64_t)number;
    }
    if (!stat(sqlite->path, &status))
        info->bytes = (uint64_t)status.st_size;
    return error;
}

static int each_model(struct store *store, store_model_fn *fn, void *user)
{
    struct listing listing = {.fn.model = fn, .user = user};
    return sqlite_each(sqlite_of_store(store),
                       "SELECT id, identity, name, dim, (SELECT count(*) FROM vector WHERE"
                       " vector.id > " SQLITE_KEY("model.id", "0") " AND vector.id < " SQLITE_KEY(
                           "model.id + 1", "0") ") FROM model ORDER BY id",
                       give_model, &listing, "");
}

static int find_model(struct store *store, const char *identity, int64_t *id)
{
    return sqlite_find_number(sqlite_of_store(store), "SELECT id FROM model WHERE identity = ?1", 0,
                              id, "t", identity);
}

static int read_generation(struct store *store, int64_t model, struct store_generation *generation)
{
    sqlite3_stmt *row;
    *generation = (struct store_generation){0};
    int error = sqlite_find(sqlite_of_store(store),
                            "SELECT changes, rewrites FROM model WHERE id = ?1", &row, "i", model);
    if (!error && row) {
        *generation =
            (struct store_generation){sqlite3_column_int64(row, 0), sqlite3_column_int64(row, 1)};
        sqlite3_reset(row);
    }
    return error;
}

static int each_vector(struct store *store, int64_t model, int64_t after, store_vector_fn *fn,
                       void *user)
{
    struct listing listing = {.fn.vector = fn, .user = user};
    int64_t dim = 0;
    int error = sqlite_find_number(sqlite_of_store(store), "SELECT dim FROM model WHERE id = ?1", 0,
                                   &dim, "i", model);
    listing.bytes = (size_t)dim * sizeof(uint16_t);
    if (!error)
        error = sqlite_each(sqlite_of_store(store),
                            "SELECT id, data FROM vector WHERE id > " SQLITE_KEY(
                                "?1", "?2") " AND id < " SQLITE_KEY("?1 + 1", "0") " ORDER BY id",
                            give_vector, &listing, "ii", model, after);
    return error;
}

static int each_present(struct store *store, store_id_fn *fn, void *user)
{
    struct listing listing = {.fn.id = fn, .user = user};
    return sqlite_each(sqlite_of_store(store),
                       "SELECT DISTINCT content FROM file INDEXED BY file_content"
                       " WHERE content IS NOT NULL AND missing = 0 ORDER BY content",
                       give_id, &listing, "");
}

static int each_picture(struct store *store, store_picture_fn *fn, void *user)
{
    struct listing listing = {.fn.picture = fn, .user = user};
    return sqlite_each(sqlite_of_store(store), PICTURE " ORDER BY content.id, path", give_picture,
                       &listing, "");
}

static int each_copy(struct store *store, int64_t id, store_picture_fn *fn, void *user)
{
    struct listing listing = {.fn.picture = fn, .user = user};
    return sqlite_each(sqlite_of_store(store), PICTURE " WHERE content.id = ?1 ORDER BY path",
                       give_picture, &listing, "i", id);
}

static int find_picture(struct store *store, int64_t id, store_picture_fn *fn, void *user)
{
    sqlite3_stmt *row;
    int64_t copies;
    int error = sqlite_find_number(sqlite_of_store(store),
                                   "SELECT count(*) FROM file WHERE content = ?1 AND missing = 0",
                                   0, &copies, "i", id);
    if (!error)
        error = sqlite_find(sqlite_of_store(store),
                            PICTURE " WHERE content.id = ?1 ORDER BY path LIMIT 1", &row, "i", id);
    if (error || !row)
        return error;
    struct store_picture picture = read_picture(row);
    picture.copies = (size_t)copies;
    error = picture.path ? fn(user, &picture) : error_fail(VKCLIP_EMEMORY, "out of memory");
    sqlite3_reset(row);
    return error;
}

static int find_content(struct store *store, const struct store_hash *hash, int64_t model,
                        struct store_content *content)
{
    sqlite3_stmt *row;
    *content = (struct store_content){0};
    int error =
        sqlite_find(sqlite_of_store(store),
                    "SELECT id, EXISTS(SELECT 1 FROM vector WHERE vector.id = " SQLITE_KEY(
                        "?2", "content.id") "), EXISTS(SELECT 1 FROM thumbnail WHERE "
                                            "thumbnail.content = content.id), error,"
                                            " coalesce(message, '') FROM content WHERE hash = ?1",
                    &row, "bi", hash->bytes, sizeof(hash->bytes), model);
    if (error || !row)
        return error;
    content->id = sqlite3_column_int64(row, 0);
    content->encoded = sqlite3_column_int(row, 1);
    content->thumbnail = sqlite3_column_int(row, 2);
    content->error = sqlite3_column_int(row, 3);
    snprintf(content->message, sizeof(content->message), "%s", sqlite_text(row, 4));
    sqlite3_reset(row);
    return VKCLIP_OK;
}

static int read_vector(struct store *store, int64_t id, int64_t model, uint16_t *row_values,
                       size_t dim, bool *found)
{
    sqlite3_stmt *row;
    *found = false;
    if (id < 0 || id >> SQLITE_KEY_BITS)
        return VKCLIP_OK; /* The key would be that of another model's vector. */
    int error = sqlite_find(sqlite_of_store(store),
                            "SELECT data FROM vector WHERE id = " SQLITE_KEY("?2", "?1"), &row,
                            "ii", id, model);
    *found = row && (size_t)sqlite3_column_bytes(row, 0) == dim * sizeof(*row_values);
    if (*found)
        memcpy(row_values, sqlite3_column_blob(row, 0), dim * sizeof(*row_values));
    if (row)
        sqlite3_reset(row);
    return error;
}

static int read_thumbnail(struct store *store, int64_t id, void **data, size_t *size)
{
    sqlite3_stmt *row;
    int error = sqlite_find(sqlite_of_store(store), "SELECT data FROM thumbnail WHERE content = ?1",
                            &row, "i", id);
    *data = NULL;
    *size = 0;
    if (error || !row)
        return error;
    *size = (size_t)sqlite3_column_bytes(row, 0);
    *data = malloc(*size + 1);
    if (*data && *size)
        memcpy(*data, sqlite3_column_blob(row, 0), *size);
    sqlite3_reset(row);
    return *data ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for a thumbnail");
}

static int each_failure(struct store *store, vkclip_failure_fn *fn, void *user)
{
    struct listing listing = {.fn.failure = fn, .user = user};
    return sqlite_each(sqlite_of_store(store),
                       "SELECT path, iif(file.error, file.error, content.error),"
                       " iif(file.error, file.message, content.message) FROM file LEFT JOIN content"
                       " ON content.id = content WHERE missing = 0"
                       " AND (file.error <> 0 OR content.error <> 0) ORDER BY path",
                       give_failure, &listing, "");
}

static int each_root(struct store *store, vkclip_folder_fn *fn, void *user)
{
    struct listing listing = {.fn.path = fn, .user = user};
    return sqlite_each(sqlite_of_store(store), "SELECT path FROM root ORDER BY path", give_path,
                       &listing, "");
}

static int each_distinct_pair(struct store *store, store_pair_fn *fn, void *user)
{
    struct listing listing = {.fn.pair = fn, .user = user};
    return sqlite_each(sqlite_of_store(store), "SELECT a, b FROM distinct_pair ORDER BY a, b",
                       give_pair, &listing, "");
}

const struct store_readers sqlite_readers = {
    .begin = begin,
    .end = end,
    .count = count_all,
    .each_model = each_model,
    .find_model = find_model,
    .read_generation = read_generation,
    .each_vector = each_vector,
    .each_present = each_present,
    .each_picture = each_picture,
    .each_copy = each_copy,
    .find_picture = find_picture,
    .find_content = find_content,
    .read_vector = read_vector,
    .read_thumbnail = read_thumbnail,
    .each_failure = each_failure,
    .each_root = each_root,
    .each_distinct_pair = each_distinct_pair,
};
#else
typedef int sqlite_read_is_left_out; /* A file of C must declare something. */
#endif
