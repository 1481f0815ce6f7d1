/* SPDX-License-Identifier: MIT
 *
 * The functions of the PostgreSQL store that read. Lists come through cursors, so that memory stays
 * flat and the caller's function may read from the store meanwhile.
 */
#include "search/postgres_store.h"
#include "base/array.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PICTURE                                                                               \
    "SELECT content.id, file.path, file.size, file.modified, content.format, content.camera," \
    " content.width, content.height, content.orientation, content.taken, content.latitude,"   \
    " content.longitude FROM content JOIN file ON file.content = content.id AND file.missing = 0"

/* ---- Rows ------------------------------------------------------------------------------------ */

/* A function of the caller, while postgres_each lists rows. */
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
    uint16_t *vector; /* memory of one */
    size_t dim;
};

static struct store_picture read_picture(struct postgres_row row)
{
    return (struct store_picture){
        .id = postgres_number(row, 0),
        .path = postgres_text(row, 1),
        .size = (uint64_t)postgres_number(row, 2),
        .modified = postgres_number(row, 3),
        .facts = {.format = postgres_text(row, 4),
                  .camera = postgres_text(row, 5),
                  .width = (uint32_t)postgres_number(row, 6),
                  .height = (uint32_t)postgres_number(row, 7),
                  .orientation = (uint32_t)postgres_number(row, 8),
                  .taken = postgres_is_null(row, 9) ? INT64_MIN : postgres_number(row, 9),
                  .latitude = postgres_double(row, 10),
                  .longitude = postgres_double(row, 11)},
    };
}

static int give_picture(void *user, struct postgres_row row)
{
    const struct listing *listing = user;
    const struct store_picture picture = read_picture(row);
    return listing->fn.picture(listing->user, &picture);
}

static int give_id(void *user, struct postgres_row row)
{
    const struct listing *listing = user;
    return listing->fn.id(listing->user, postgres_number(row, 0));
}

static int give_pair(void *user, struct postgres_row row)
{
    const struct listing *listing = user;
    return listing->fn.pair(listing->user, postgres_number(row, 0), postgres_number(row, 1));
}

static int give_path(void *user, struct postgres_row row)
{
    const struct listing *listing = user;
    return listing->fn.path(listing->user, postgres_text(row, 0));
}

static int give_failure(void *user, struct postgres_row row)
{
    const struct listing *listing = user;
    const char *message = postgres_text(row, 2);
    const int stop = listing->fn.failure(listing->user, postgres_text(row, 0),
                                         (int)postgres_number(row, 1), message ? message : "");
    return stop ? error_fail(VKCLIP_EINVALID, "stopped by the caller") : VKCLIP_OK;
}

static int give_model(void *user, struct postgres_row row)
{
    const struct listing *listing = user;
    struct store_model model = {.id = postgres_number(row, 0)};
    snprintf(model.info.identity, sizeof(model.info.identity), "%s", postgres_text(row, 1));
    snprintf(model.info.name, sizeof(model.info.name), "%s", postgres_text(row, 2));
    model.info.embed_dim = (uint32_t)postgres_number(row, 3);
    model.info.vectors = (uint64_t)postgres_number(row, 4);
    return listing->fn.model(listing->user, &model);
}

/* A vector of another length than the model's cannot come from this program. */
static int give_vector(void *user, struct postgres_row row)
{
    const struct listing *listing = user;
    const int64_t id = postgres_number(row, 0);
    if (!postgres_halves(row, 1, listing->vector, listing->dim))
        return error_fail(VKCLIP_EFORMAT, "damaged database: vector %lld has not %zu values",
                          (long long)id, listing->dim);
    return listing->fn.vector(listing->user, id, listing->vector);
}

/* ---- Reading --------------------------------------------------------------------------------- */

static int begin(struct store *store)
{
    return postgres_execute(postgres_of_store(store), "BEGIN ISOLATION LEVEL REPEATABLE READ");
}

static int end(struct store *store)
{
    return postgres_execute(postgres_of_store(store), "COMMIT");
}

static int count_all(struct store *store, struct vkclip_index_info *info)
{
    struct postgres *postgres = postgres_of_store(store);
    const struct {
        const char *text;
        uint64_t *number;
    } counts[] = {
        {"SELECT count(*) FROM file WHERE missing = 0", &info->files},
        {"SELECT count(DISTINCT content) FROM file WHERE missing = 0", &info->pictures},
        {"SELECT count(*) FROM file WHERE missing <> 0", &info->missing},
        {"SELECT count(*) FROM file LEFT JOIN content ON content.id = file.content"
         " WHERE missing = 0 AND (file.error <> 0 OR content.error <> 0)",
         &info->failed},
        {"SELECT count(*) FROM root", &info->folders},
        {"SELECT count(*) FROM model", &info->models},
        {"SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class"
         " WHERE relnamespace = 'vkclip'::regnamespace AND relkind = 'r'",
         &info->bytes},
    };
    int error = VKCLIP_OK;
    *info = (struct vkclip_index_info){0};
    snprintf(info->path, sizeof(info->path), "%s", postgres->name);
    for (size_t i = 0; i < ARRAY_COUNT(counts) && !error; i++) {
        int64_t number;
        error = postgres_find_number(postgres, counts[i].text, 0, &number, "");
        *counts[i].number = (uint64_t)number;
    }
    return error;
}

static int each_model(struct store *store, store_model_fn *fn, void *user)
{
    struct listing listing = {.fn.model = fn, .user = user};
    return postgres_each(postgres_of_store(store),
                         "SELECT id, identity, name, dim, (SELECT count(*) FROM vector"
                         " WHERE vector.model = model.id) FROM model ORDER BY id",
                         give_model, &listing, "");
}

static int find_model(struct store *store, const char *identity, int64_t *id)
{
    return postgres_find_number(postgres_of_store(store),
                                "SELECT id FROM model WHERE identity = $1", 0, id, "t", identity);
}

static int read_generation(struct store *store, int64_t model, struct store_generation *generation)
{
    PGresult *rows;
    *generation = (struct store_generation){0};
    int error =
        postgres_find(postgres_of_store(store), "SELECT changes, rewrites FROM model WHERE id = $1",
                      &rows, "i", model);
    if (!error && PQntuples(rows)) {
        const struct postgres_row row = {rows, 0};
        *generation = (struct store_generation){postgres_number(row, 0), postgres_number(row, 1)};
    }
    PQclear(rows);
    return error;
}

static int each_vector(struct store *store, int64_t model, int64_t after, store_vector_fn *fn,
                       void *user)
{
    struct listing listing = {.fn.vector = fn, .user = user};
    int64_t dim = 0;
    int error = postgres_find_number(postgres_of_store(store),
                                     "SELECT dim FROM model WHERE id = $1", 0, &dim, "i", model);
    if (error)
        return error;
    listing.dim = (size_t)dim;
    listing.vector = malloc(listing.dim * sizeof(*listing.vector) + 1);
    if (!listing.vector)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a vector");
    error = postgres_each(postgres_of_store(store),
                          "SELECT content, data FROM vector WHERE model = $1 AND content > $2"
                          " ORDER BY content",
                          give_vector, &listing, "ii", model, after);
    free(listing.vector);
    return error;
}

static int each_present(struct store *store, store_id_fn *fn, void *user)
{
    struct listing listing = {.fn.id = fn, .user = user};
    return postgres_each(postgres_of_store(store),
                         "SELECT DISTINCT content FROM file"
                         " WHERE content IS NOT NULL AND missing = 0 ORDER BY content",
                         give_id, &listing, "");
}

static int each_picture(struct store *store, store_picture_fn *fn, void *user)
{
    struct listing listing = {.fn.picture = fn, .user = user};
    return postgres_each(postgres_of_store(store), PICTURE " ORDER BY content.id, file.path",
                         give_picture, &listing, "");
}

static int each_copy(struct store *store, int64_t id, store_picture_fn *fn, void *user)
{
    struct listing listing = {.fn.picture = fn, .user = user};
    return postgres_each(postgres_of_store(store),
                         PICTURE " WHERE content.id = $1 ORDER BY file.path", give_picture,
                         &listing, "i", id);
}

static int find_picture(struct store *store, int64_t id, store_picture_fn *fn, void *user)
{
    PGresult *rows;
    int64_t copies;
    int error = postgres_find_number(postgres_of_store(store),
                                     "SELECT count(*) FROM file WHERE content = $1 AND missing = 0",
                                     0, &copies, "i", id);
    if (error)
        return error;
    error =
        postgres_find(postgres_of_store(store),
                      PICTURE " WHERE content.id = $1 ORDER BY file.path LIMIT 1", &rows, "i", id);
    if (!error && PQntuples(rows)) {
        struct store_picture picture = read_picture((struct postgres_row){rows, 0});
        picture.copies = (size_t)copies;
        error = fn(user, &picture);
    }
    PQclear(rows);
    return error;
}

static int find_content(struct store *store, const struct store_hash *hash, int64_t model,
                        struct store_content *content)
{
    PGresult *rows;
    *content = (struct store_content){0};
    int error = postgres_find(postgres_of_store(store),
                              "SELECT id, EXISTS(SELECT 1 FROM vector WHERE vector.model = $2"
                              " AND vector.content = content.id), EXISTS(SELECT 1 FROM thumbnail"
                              " WHERE thumbnail.content = content.id), error, coalesce(message, '')"
                              " FROM content WHERE hash = $1",
                              &rows, "bi", hash->bytes, sizeof(hash->bytes), model);
    if (!error && PQntuples(rows)) {
        const struct postgres_row row = {rows, 0};
        content->id = postgres_number(row, 0);
        content->encoded = postgres_number(row, 1);
        content->thumbnail = postgres_number(row, 2);
        content->error = (int)postgres_number(row, 3);
        snprintf(content->message, sizeof(content->message), "%s", postgres_text(row, 4));
    }
    PQclear(rows);
    return error;
}

static int read_vector(struct store *store, int64_t id, int64_t model, uint16_t *values, size_t dim,
                       bool *found)
{
    PGresult *rows;
    int error = postgres_find(postgres_of_store(store),
                              "SELECT data FROM vector WHERE model = $1 AND content = $2", &rows,
                              "ii", model, id);
    *found = !error && PQntuples(rows) &&
             postgres_halves((struct postgres_row){rows, 0}, 0, values, dim);
    PQclear(rows);
    return error;
}

static int read_thumbnail(struct store *store, int64_t id, void **data, size_t *size)
{
    PGresult *rows;
    *data = NULL;
    *size = 0;
    int error = postgres_find(postgres_of_store(store),
                              "SELECT data FROM thumbnail WHERE content = $1", &rows, "i", id);
    if (!error && PQntuples(rows)) {
        const void *bytes = postgres_bytes((struct postgres_row){rows, 0}, 0, size);
        *data = malloc(*size + 1);
        if (*data)
            memcpy(*data, bytes, *size);
        else
            error = error_fail(VKCLIP_EMEMORY, "out of memory for a thumbnail");
    }
    PQclear(rows);
    return error;
}

static int each_failure(struct store *store, vkclip_failure_fn *fn, void *user)
{
    struct listing listing = {.fn.failure = fn, .user = user};
    return postgres_each(
        postgres_of_store(store),
        "SELECT file.path, CASE WHEN file.error <> 0 THEN file.error ELSE content.error END,"
        " CASE WHEN file.error <> 0 THEN file.message ELSE content.message END"
        " FROM file LEFT JOIN content ON content.id = file.content WHERE file.missing = 0"
        " AND (file.error <> 0 OR content.error <> 0) ORDER BY file.path",
        give_failure, &listing, "");
}

static int each_root(struct store *store, vkclip_folder_fn *fn, void *user)
{
    struct listing listing = {.fn.path = fn, .user = user};
    return postgres_each(postgres_of_store(store), "SELECT path FROM root ORDER BY path", give_path,
                         &listing, "");
}

static int each_distinct_pair(struct store *store, store_pair_fn *fn, void *user)
{
    struct listing listing = {.fn.pair = fn, .user = user};
    return postgres_each(postgres_of_store(store), "SELECT a, b FROM distinct_pair ORDER BY a, b",
                         give_pair, &listing, "");
}

const struct store_readers postgres_readers = {
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
