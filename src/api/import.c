/* SPDX-License-Identifier: MIT
 *
 * rclip keeps a row per file with an embedding in fp32, and knows a file by its path, size and time
 * of modification. Its files are read and hashed, because an index knows contents, and decoded at a
 * small scale for what is told about a picture, but not encoded. rclip's model is not named in its
 * database, so a sample is compared.
 */
#include "api/import.h"

#include "api/update.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/turns.h"
#include "encode/pictures.h"
#include "image/decode.h"
#include "search/file_hash.h"
#include "search/sqlite.h"
#include "search/walk.h"

#include <math.h>
#include <string.h>

enum {
    SAMPLE = 16, /* Wrong models differ in every picture; broken files may be among a few. */
    BATCH = 256  /* files per transaction */
};

/* Two implementations of one model agree to 0.9999 in fp32 and to 0.999 in fp16; those of two
 * models are near 0. */
#define LEAST_COSINE 0.99

#define ROWS " FROM images WHERE deleted IS NULL AND vector IS NOT NULL"

struct import {
    struct vkclip_index *index;
    struct vkclip_model *model;
    struct sqlite rclip;
    int64_t model_id;
    uint32_t dim;
    float *values;    /* [dim] the embedding of the row at hand, of unit length */
    uint16_t *vector; /* [dim] the same as the index has it */
    unsigned written; /* files in the open transaction */
    struct vkclip_import_result *result;
};

/* Tells whether a file is as rclip has seen it. rclip keeps the time as a double. */
static bool is_unchanged(const struct row *row, const char *path)
{
    struct file_status status;
    if (!path || !file_status(path, &status))
        return false;
    const double modified = (double)status.modified * 1e-9;
    return row_number(row, 1) == (int64_t)status.size && fabs(row_double(row, 2) - modified) < 1e-5;
}

static bool has_vector(const struct import *import, const struct row *row, size_t *size)
{
    row_bytes(row, 3, size);
    return *size == import->dim * sizeof(float);
}

/* Reads the embedding of a row that has one, which need not be aligned in memory. Returns false if
 * it has no direction: one such vector would make the mean of every search a NaN. */
static bool read_vector(const struct import *import, const struct row *row)
{
    double squares = 0;
    size_t size;
    const void *values = row_bytes(row, 3, &size);
    memcpy(import->values, values, size);
    for (uint32_t i = 0; i < import->dim; i++)
        squares += (double)import->values[i] * (double)import->values[i];
    for (uint32_t i = 0; i < import->dim; i++)
        import->values[i] = (float)((double)import->values[i] / sqrt(squares));
    return squares > 0 && squares < INFINITY;
}

/* ---- The sample ------------------------------------------------------------------------------ */

/* Returns the cosine of a picture's embedding and rclip's; NAN where it cannot be encoded. */
static double compare_row(const struct import *import, const struct row *row, float *embedding)
{
    const char *path = row_text(row, 0);
    const struct pictures pictures = {.paths = &path};
    double dot = 0, length = 0;
    if (!read_vector(import, row) || pictures_encode(import->model, &pictures, 1, NULL, embedding))
        return (double)NAN;
    for (uint32_t i = 0; i < import->dim; i++) {
        dot += (double)embedding[i] * (double)import->values[i];
        length += (double)embedding[i] * (double)embedding[i];
    }
    return dot / sqrt(length);
}

static int compare_sample(struct import *import)
{
    struct vkclip_import_result *result = import->result;
    float *embedding = memory_alloc(import->dim * sizeof(*embedding));
    int error = embedding ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for a picture");
    const uint64_t sample = result->rows < SAMPLE ? result->rows : SAMPLE;
    for (uint64_t i = 0; i < sample && !error; i++) {
        struct row row;
        size_t size;
        error = progress_tell(0, result->rows);
        if (error)
            break;
        error = database_find(&import->rclip.database,
                              "SELECT filepath, size, modified_at, vector" ROWS
                              " ORDER BY id LIMIT 1 OFFSET $1",
                              &row, "i", (int64_t)(i * result->rows / sample));
        if (error || !row.rows)
            continue;
        const char *path = row_text(&row, 0);
        if (!has_vector(import, &row, &size))
            error = error_fail(VKCLIP_EINVALID,
                               "%s: an embedding of %zu bytes, expected %u values of this model",
                               import->rclip.database.name, size, import->dim);
        const double cosine =
            !error && is_unchanged(&row, path) ? compare_row(import, &row, embedding) : (double)NAN;
        if (!isnan(cosine)) {
            result->compared++;
            result->least_cosine = fmin(result->least_cosine, cosine);
        }
        row_release(&row);
    }
    memory_free(embedding);
    if (!error && result->compared && result->least_cosine < LEAST_COSINE)
        error = error_fail(VKCLIP_EINVALID,
                           "%s: comes from another model: the cosine of a picture is %.4f, "
                           "expected at least %.2f",
                           import->rclip.database.name, result->least_cosine, LEAST_COSINE);
    if (!error && result->rows && !result->compared)
        error = error_fail(VKCLIP_EINVALID,
                           "%s: none of %llu files of a sample is as it was, so that the model "
                           "cannot be compared",
                           import->rclip.database.name, (unsigned long long)sample);
    return error;
}

/* ---- Rows ------------------------------------------------------------------------------------ */

/* Reads what an index knows of a file; false: it is no picture, or one that rclip sees otherwise.
 */
static bool read_facts(const char *path, const void *data, size_t size, struct image_facts *facts)
{
    const struct image_options small = {.least_side = 1, .orient = true};
    struct vkclip_image image = {0};
    const bool good = !image_decode(data, size, path, &small, &image, facts);
    image_free(&image);
    return good && facts->orientation <= 1;
}

static int write_row(const struct import *import, const char *path, const struct store_stamp *stamp,
                     const struct store_hash *hash, const struct image_facts *facts)
{
    struct store *store = import->index->store;
    int64_t content, before;
    for (uint32_t i = 0; i < import->dim; i++)
        import->vector[i] = half_from_float(import->values[i]);
    int error = store->write->put_content(store, hash, &content);
    if (!error)
        error = store->write->put_facts(store, content, facts);
    if (!error)
        error =
            store->write->put_vector(store, content, import->model_id, import->vector, import->dim);
    if (!error)
        error = store->write->put_file(store, path, stamp, content, 0, NULL, &before);
    return error;
}

static int import_row(void *user, const struct row *row)
{
    struct import *import = user;
    struct store *store = import->index->store;
    const char *path = row_text(row, 0);
    struct store_stamp stamp;
    struct store_hash hash;
    struct image_facts facts;
    void *data = NULL;
    size_t size;
    const uint64_t done = import->result->imported + import->result->left_out;
    const int cancelled = progress_tell(done, import->result->rows);
    if (cancelled)
        return cancelled;
    import->result->left_out++;
    if (!has_vector(import, row, &size) || !read_vector(import, row) || !is_unchanged(row, path) ||
        file_hash_read(path, &stamp, &hash, &data, &size))
        return VKCLIP_OK;
    const bool good = read_facts(path, data, size, &facts);
    memory_free(data);
    if (!good)
        return VKCLIP_OK;
    int error = write_row(import, path, &stamp, &hash, &facts);
    if (!error && ++import->written % BATCH == 0) {
        error = store->write->commit(store);
        turn_give_way(); /* The next row finds out whether the program has cancelled the call. */
        if (!error)
            error = store->write->begin(store);
    }
    import->result->left_out--;
    import->result->imported++;
    return error;
}

static int import_rows(struct import *import, const struct vkclip_index_model *model)
{
    struct store *store = import->index->store;
    int error = store->write->begin(store);
    if (!error)
        error = store->write->put_model(store, model, &import->model_id);
    if (!error)
        error = database_each(&import->rclip.database,
                              "SELECT filepath, size, modified_at, vector" ROWS " ORDER BY id",
                              import_row, import, "");
    /* What a call that is cancelled has imported stays. */
    const bool keeps = !error || error == VKCLIP_ECANCELLED;
    const int failed = keeps ? store->write->commit(store) : error;
    if (failed)
        store->write->rollback(store);
    return failed ? failed : error;
}

int import_rclip(struct vkclip_index *index, struct vkclip_model *model, const char *path,
                 struct vkclip_import_result *result)
{
    const uint32_t dim = model->info.embed_dim;
    struct import import = {.index = index, .model = model, .dim = dim, .result = result};
    struct vkclip_index_model described;
    int64_t rows = 0, tables = 0;
    *result = (struct vkclip_import_result){.least_cosine = 1};
    int error = index_check_writable(index);
    if (!error)
        error = update_describe_model(index, model, &described);
    if (!error)
        error = sqlite_open(path, SQLITE_MODE_READ, &import.rclip);
    if (error)
        return error;
    import.values = memory_alloc(dim * sizeof(*import.values));
    import.vector = memory_alloc(dim * sizeof(*import.vector));
    if (!import.values || !import.vector)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for an embedding");
    if (!error)
        error =
            database_find_number(&import.rclip.database,
                                 "SELECT count(*) FROM pragma_table_info('images') WHERE name IN"
                                 " ('filepath', 'size', 'modified_at', 'vector', 'deleted')",
                                 0, &tables, "");
    if (!error && tables != 5)
        error =
            error_fail(VKCLIP_EFORMAT, "%s: expected a database of rclip, found another one", path);
    if (!error)
        error = database_find_number(&import.rclip.database, "SELECT count(*)" ROWS, 0, &rows, "");
    result->rows = (uint64_t)rows;
    if (!error)
        error = compare_sample(&import);
    if (!error)
        error = import_rows(&import, &described);
    memory_free(import.values);
    memory_free(import.vector);
    sqlite_close(&import.rclip);
    return error;
}
