/* SPDX-License-Identifier: MIT
 *
 * The functions of the SQL stores that read. The caller's function may read from the store while it
 * lists rows.
 */
#include "base/memory.h"
#include "search/sql_store.h"
#include "base/array.h"
#include "base/turns.h"

#include <stdio.h>
#include <string.h>

/* ---- Rows ------------------------------------------------------------------------------------ */

/* After so many vectors other calls may use the device: reading them takes a fraction of a
 * millisecond, and looking whether other calls wait takes little of that. */
#define WAY_VECTORS 256

/* A function of the caller, while database_each lists rows. */
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
    uint64_t vectors; /* given so far */
};

static struct store_picture read_picture(const struct row *row)
{
    return (struct store_picture){
        .id = row_number(row, 0),
        .path = row_text(row, 1),
        .stamp = {.size = (uint64_t)row_number(row, 2),
                  .inode = (uint64_t)row_number(row, 12),
                  .modified = row_number(row, 3),
                  .changed = row_number(row, 13)},
        .facts = {.format = row_text(row, 4),
                  .camera = row_text(row, 5),
                  .width = (uint32_t)row_number(row, 6),
                  .height = (uint32_t)row_number(row, 7),
                  .orientation = (uint32_t)row_number(row, 8),
                  .taken = row_number(row, 9),
                  .latitude = row_double(row, 10),
                  .longitude = row_double(row, 11)},
    };
}

static int give_picture(void *user, const struct row *row)
{
    const struct listing *listing = user;
    const struct store_picture picture = read_picture(row);
    return picture.path ? listing->fn.picture(listing->user, &picture)
                        : error_fail(VKCLIP_EMEMORY, "out of memory for a path");
}

static int give_id(void *user, const struct row *row)
{
    const struct listing *listing = user;
    return listing->fn.id(listing->user, row_number(row, 0));
}

static int give_pair(void *user, const struct row *row)
{
    const struct listing *listing = user;
    return listing->fn.pair(listing->user, row_number(row, 0), row_number(row, 1));
}

static int give_path(void *user, const struct row *row)
{
    const struct listing *listing = user;
    return listing->fn.path(listing->user, row_text(row, 0));
}

static int give_failure(void *user, const struct row *row)
{
    const struct listing *listing = user;
    const char *message = row_text(row, 2);
    const int stop = listing->fn.failure(listing->user, row_text(row, 0), (int)row_number(row, 1),
                                         message ? message : "");
    return stop ? error_fail(VKCLIP_ECANCELLED, "stopped by the caller") : VKCLIP_OK;
}

static int give_model(void *user, const struct row *row)
{
    const struct listing *listing = user;
    struct store_model model = {.id = row_number(row, 0)};
    snprintf(model.info.identity, sizeof(model.info.identity), "%s", row_text(row, 1));
    snprintf(model.info.name, sizeof(model.info.name), "%s", row_text(row, 2));
    model.info.embed_dim = (uint32_t)row_number(row, 3);
    model.info.vectors = (uint64_t)row_number(row, 4);
    return listing->fn.model(listing->user, &model);
}

/* A vector of another length than the model's cannot come from this program. */
static int give_vector(void *user, const struct row *row)
{
    struct listing *listing = user;
    const int64_t id = row_number(row, 0);
    const size_t expected = listing->dim * sizeof(*listing->vector);
    const size_t size = row_halves(row, 1, listing->vector, listing->dim);
    if (size != expected)
        return error_fail(VKCLIP_EFORMAT,
                          "damaged database: vector %lld has %zu bytes, expected %zu",
                          (long long)id, size, expected);
    const int error = listing->fn.vector(listing->user, id, listing->vector);
    return error || ++listing->vectors % WAY_VECTORS ? error : turn_give_way();
}

/* ---- Reading --------------------------------------------------------------------------------- */

static int begin(struct store *store)
{
    return database_execute(sql_database(store), sql_text(store, SQL_BEGIN_READ));
}

static int end(struct store *store)
{
    return database_execute(sql_database(store), sql_text(store, SQL_COMMIT));
}

static int count_all(struct store *store, struct vkclip_index_info *info)
{
    const struct {
        enum sql_statement statement;
        uint64_t *number;
    } counts[] = {
        {SQL_COUNT_FILES, &info->files},     {SQL_COUNT_PICTURES, &info->pictures},
        {SQL_COUNT_MISSING, &info->missing}, {SQL_COUNT_FAILED, &info->failed},
        {SQL_COUNT_ROOTS, &info->folders},   {SQL_COUNT_MODELS, &info->models},
        {SQL_COUNT_BYTES, &info->bytes},
    };
    int error = VKCLIP_OK;
    *info = (struct vkclip_index_info){0};
    snprintf(info->path, sizeof(info->path), "%s", sql_database(store)->name);
    for (size_t i = 0; i < ARRAY_COUNT(counts) && !error; i++) {
        int64_t number;
        error = database_find_number(sql_database(store), sql_text(store, counts[i].statement), 0,
                                     &number, "");
        *counts[i].number = (uint64_t)number;
    }
    return error;
}

static int each_model(struct store *store, store_model_fn *fn, void *user)
{
    struct listing listing = {.fn.model = fn, .user = user};
    return database_each(sql_database(store), sql_text(store, SQL_EACH_MODEL), give_model, &listing,
                         "");
}

static int find_model(struct store *store, const char *identity, int64_t *id)
{
    return database_find_number(sql_database(store), sql_text(store, SQL_FIND_MODEL), 0, id, "t",
                                identity);
}

static int read_generation(struct store *store, int64_t model, struct store_generation *generation)
{
    struct row row;
    *generation = (struct store_generation){0};
    int error =
        database_find(sql_database(store), sql_text(store, SQL_FIND_GENERATION), &row, "i", model);
    if (row.rows)
        *generation = (struct store_generation){row_number(&row, 0), row_number(&row, 1)};
    row_release(&row);
    return error;
}

static int each_vector(struct store *store, int64_t model, int64_t after, store_vector_fn *fn,
                       void *user)
{
    struct listing listing = {.fn.vector = fn, .user = user};
    int64_t dim;
    int error = database_find_number(sql_database(store), sql_text(store, SQL_FIND_DIM), 0, &dim,
                                     "i", model);
    if (error)
        return error;
    listing.dim = (size_t)dim;
    listing.vector = memory_alloc(listing.dim * sizeof(*listing.vector) + 1);
    if (!listing.vector)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a vector");
    error = database_each(sql_database(store), sql_text(store, SQL_EACH_VECTOR), give_vector,
                          &listing, "ii", model, after);
    memory_free(listing.vector);
    return error;
}

static int each_present(struct store *store, store_id_fn *fn, void *user)
{
    struct listing listing = {.fn.id = fn, .user = user};
    return database_each(sql_database(store), sql_text(store, SQL_EACH_PRESENT), give_id, &listing,
                         "");
}

static int each_picture(struct store *store, store_picture_fn *fn, void *user)
{
    struct listing listing = {.fn.picture = fn, .user = user};
    return database_each(sql_database(store), sql_text(store, SQL_EACH_PICTURE), give_picture,
                         &listing, "");
}

static int each_copy(struct store *store, int64_t id, store_picture_fn *fn, void *user)
{
    struct listing listing = {.fn.picture = fn, .user = user};
    return database_each(sql_database(store), sql_text(store, SQL_EACH_COPY), give_picture,
                         &listing, "i", id);
}

static int find_content(struct store *store, const struct store_hash *hash, int64_t model,
                        struct store_content *content)
{
    struct row row;
    *content = (struct store_content){0};
    int error = database_find(sql_database(store), sql_text(store, SQL_FIND_CONTENT), &row, "bi",
                              hash->bytes, sizeof(hash->bytes), model);
    if (error || !row.rows)
        return error;
    content->id = row_number(&row, 0);
    content->encoded = row_number(&row, 1);
    content->thumbnail = row_number(&row, 2);
    content->error = (int)row_number(&row, 3);
    snprintf(content->message, sizeof(content->message), "%s", row_text(&row, 4));
    row_release(&row);
    return VKCLIP_OK;
}

static int read_vector(struct store *store, int64_t id, int64_t model, uint16_t *values, size_t dim,
                       bool *found)
{
    struct row row;
    *found = false;
    if (id < 0 || id >> SQL_ID_BITS)
        return VKCLIP_OK; /* The key would be that of another model's vector. */
    int error =
        database_find(sql_database(store), sql_text(store, SQL_FIND_VECTOR), &row, "ii", id, model);
    *found = row.rows && row_halves(&row, 0, values, dim) == dim * sizeof(*values);
    row_release(&row);
    return error;
}

static int read_thumbnail(struct store *store, int64_t id, void **data, size_t *size)
{
    struct row row;
    *data = NULL;
    *size = 0;
    int error =
        database_find(sql_database(store), sql_text(store, SQL_FIND_THUMBNAIL), &row, "i", id);
    if (error || !row.rows)
        return error;
    const void *bytes = row_bytes(&row, 0, size);
    *data = memory_alloc(*size + 1);
    if (*data && *size)
        memcpy(*data, bytes, *size);
    row_release(&row);
    return *data ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for a thumbnail");
}

static int each_failure(struct store *store, vkclip_failure_fn *fn, void *user)
{
    struct listing listing = {.fn.failure = fn, .user = user};
    return database_each(sql_database(store), sql_text(store, SQL_EACH_FAILURE), give_failure,
                         &listing, "");
}

static int each_root(struct store *store, vkclip_folder_fn *fn, void *user)
{
    struct listing listing = {.fn.path = fn, .user = user};
    return database_each(sql_database(store), sql_text(store, SQL_EACH_ROOT), give_path, &listing,
                         "");
}

static int each_distinct_pair(struct store *store, store_pair_fn *fn, void *user)
{
    struct listing listing = {.fn.pair = fn, .user = user};
    return database_each(sql_database(store), sql_text(store, SQL_EACH_DISTINCT_PAIR), give_pair,
                         &listing, "");
}

int sql_check_version(const char *name, int64_t version, int64_t known)
{
    if (version <= known)
        return VKCLIP_OK;
    return error_fail(
        VKCLIP_EUNSUPPORTED,
        "%s: an index of version %lld, of a newer vkclip; this one knows version %lld", name,
        (long long)version, (long long)known);
}

const struct store_readers sql_readers = {
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
    .find_content = find_content,
    .read_vector = read_vector,
    .read_thumbnail = read_thumbnail,
    .each_failure = each_failure,
    .each_root = each_root,
    .each_distinct_pair = each_distinct_pair,
};
