/* SPDX-License-Identifier: MIT
 *
 * Brings the file of a model's vectors up to date with the index.
 */
#include "search/current.h"
#include "base/memory.h"
#include "base/string.h"
#include "search/scan.h"

#include <stdio.h>
#include <string.h>

/* ---- The model --------------------------------------------------------------------------------- */

/* The names of the models of an index, with commas between them. */
struct names {
    char text[2048];
    size_t length;
};

/* Is a store_model_fn. */
static int add_name(void *user, const struct store_model *model)
{
    struct names *names = user;
    if (names->length < sizeof(names->text))
        names->length +=
            (size_t)snprintf(names->text + names->length, sizeof(names->text) - names->length,
                             "%s%s", names->length ? ", " : "", model->info.name);
    return 0;
}

int current_find_model(const struct current *current, const char *identity, const char *name,
                       int64_t *model)
{
    const int error = current->store->read->find_model(current->store, identity, model);
    return error || *model ? error : current_refuse_model(current, name);
}

int current_refuse_model(const struct current *current, const char *name)
{
    struct names names = {.length = 0};
    const int error = current->store->read->each_model(current->store, add_name, &names);
    if (error)
        return error;
    if (!names.length)
        return error_fail(VKCLIP_EABSENT, "%s: the index has no pictures yet", current->path);
    return error_fail(VKCLIP_EABSENT, "%s: the index has no pictures by the model %s; it has %s",
                      current->path, name, names.text);
}

/* ---- Vectors ----------------------------------------------------------------------------------- */

void current_close(struct current *current)
{
    resident_close(&current->resident);
    vectors_close(&current->vectors);
    memory_free(current->ids);
    memory_free(current->rows);
    current->model = 0;
    current->ids = NULL;
    current->rows = NULL;
}

/* Is a store_vector_fn. */
static int add_to_file(void *user, int64_t id, const uint16_t *row)
{
    return vectors_add(user, &id, row, 1);
}

/* Writes the file anew. */
static int write_file(const struct current *current, const char *path,
                      const struct vectors_key *key)
{
    struct vectors_file *file;
    int error = vectors_write(path, key, &file);
    if (error)
        return error;
    error = current->store->read->each_vector(current->store, current->model, 0, add_to_file, file);
    return vectors_write_end(&file, current->workers, error);
}

/* A file that gets the vectors that were added since an older one was written. */
struct extension {
    struct vectors_file *file;
    size_t dim;
    int64_t changes; /* checksum of the vectors so far */
};

/* Is a store_vector_fn. */
static int add_to_extension(void *user, int64_t id, const uint16_t *row)
{
    struct extension *extension = user;
    extension->changes = store_add_vector(extension->changes, id, row, extension->dim);
    return vectors_add(extension->file, &id, row, 1);
}

/* Writes the file from the mapped one, whose checksum is `changes`, and what follows in the store.
 * Fails without a message if the index does not descend from the state of the mapped file. */
static int extend_file(const struct current *current, const char *path,
                       const struct vectors_key *key, int64_t changes)
{
    struct store *store = current->store;
    const struct vectors *older = &current->vectors;
    const int64_t last = older->count ? older->ids[older->count - 1] : 0;
    struct extension extension = {.dim = key->dim, .changes = changes};
    int error = vectors_write(path, key, &extension.file);
    if (error)
        return error;
    error = vectors_add(extension.file, older->ids, older->rows, older->count);
    if (!error)
        error = store->read->each_vector(store, current->model, last, add_to_extension, &extension);
    if (!error && extension.changes != key->changes)
        error = VKCLIP_EABSENT;
    return vectors_write_end(&extension.file, current->workers, error);
}

/* Maps what was written, unless another process has put the vectors of another state in its place
 * since. */
static int map_written_file(struct current *current, const char *path,
                            const struct vectors_key *key)
{
    struct vectors_key found = *key;
    if (vectors_map(path, &found, current->workers, &current->vectors) &&
        found.changes == key->changes && found.rewrites == key->rewrites)
        return VKCLIP_OK;
    vectors_close(&current->vectors);
    return error_fail(VKCLIP_EIO, "%s: cannot be read, or was replaced by another process", path);
}

static int update_file(struct current *current, const char *path, struct vectors_key key)
{
    struct vectors_key found = key;
    const bool mapped = vectors_map(path, &found, current->workers, &current->vectors);
    const bool older = mapped && found.rewrites == key.rewrites;
    if (older && found.changes == key.changes)
        return VKCLIP_OK;
    int error = older ? extend_file(current, path, &key, found.changes) : VKCLIP_EABSENT;
    if (error && error != VKCLIP_ECANCELLED)
        error = write_file(current, path, &key);
    vectors_close(&current->vectors);
    if (!error)
        error = map_written_file(current, path, &key);
    return error;
}

/* Vectors in memory, while they are read from the store. */
struct growth {
    struct current *current;
    size_t capacity;
};

/* Is a store_vector_fn. */
static int add_to_memory(void *user, int64_t id, const uint16_t *row)
{
    struct growth *growth = user;
    struct current *current = growth->current;
    struct vectors *vectors = &current->vectors;
    if (vectors->count == growth->capacity) {
        const size_t capacity = 2 * growth->capacity + 1024;
        int64_t *ids = memory_realloc(current->ids, capacity * sizeof(*ids));
        current->ids = ids ? ids : current->ids;
        uint16_t *rows = memory_realloc(current->rows, capacity * vectors->dim * sizeof(*rows));
        current->rows = rows ? rows : current->rows;
        if (!ids || !rows)
            return error_fail(VKCLIP_EMEMORY, "out of memory for %zu vectors", capacity);
        growth->capacity = capacity;
    }
    current->ids[vectors->count] = id;
    memcpy(current->rows + vectors->count++ * vectors->dim, row, vectors->dim * sizeof(*row));
    return 0;
}

static int read_to_memory(struct current *current, size_t dim)
{
    struct growth growth = {current, 0};
    current->vectors.dim = dim;
    const int error = current->store->read->each_vector(current->store, current->model, 0,
                                                        add_to_memory, &growth);
    current->vectors.ids = current->ids;
    current->vectors.rows = current->rows;
    return error;
}

static int update_vectors(struct current *current, const char *identity, size_t dim)
{
    char *path = current->files_path ? string_format("%s.%lld.vectors", current->files_path,
                                                     (long long)current->model)
                                     : NULL;
    const struct vectors_key key = {.model = identity,
                                    .dim = dim,
                                    .changes = current->generation.changes,
                                    .rewrites = current->generation.rewrites};
    int error = path ? update_file(current, path, key) : VKCLIP_EMEMORY;
    memory_free(path);
    return error && error != VKCLIP_ECANCELLED ? read_to_memory(current, dim) : error;
}

static void stop_keeping(struct current *current)
{
    resident_close(&current->resident);
    current->gpu = NULL;
}

static int copy_vectors(struct current *current)
{
    const struct resident_params params = {
        .gpu = current->gpu, .tuner = current->tuner, .vectors = &current->vectors, .batch = 1};
    resident_close(&current->resident);
    if (!current->gpu || !current->vectors.count)
        return VKCLIP_OK;
    const int error = resident_open(&params, &current->resident);
    if (error && error != VKCLIP_ECANCELLED)
        stop_keeping(current);
    return error;
}

/* Copies changed vectors to the device that has them. Where it fails, the processor searches. */
static int renew_copy(struct current *current)
{
    const int error = copy_vectors(current);
    if (!error || error == VKCLIP_ECANCELLED)
        return error;
    log_message(VKCLIP_LOG_WARNING,
                "%s: the device cannot keep the vectors, the processor searches: %s", current->path,
                error_last());
    return VKCLIP_OK;
}

int current_keep(struct current *current, struct gpu *gpu, struct tuner *tuner)
{
    current->gpu = gpu;
    current->tuner = tuner;
    const int error = copy_vectors(current);
    if (error)
        stop_keeping(current);
    return error;
}

int current_top(struct current *current, const float *query, size_t top, const uint64_t *allowed,
                struct scan_hit *hits, struct scan_statistics *statistics)
{
    if (current->resident) {
        const int error = resident_top(current->resident, query, 1, top, allowed, hits, statistics);
        /* Neither wrong arguments nor a program that cancels are faults of the device. */
        if (!error || error == VKCLIP_EINVALID || error == VKCLIP_ECANCELLED)
            return error;
        log_message(VKCLIP_LOG_WARNING,
                    "%s: the device cannot search any more, the processor does: %s", current->path,
                    error_last());
        stop_keeping(current);
    }
    return scan_top(&current->vectors, query, 1, top, allowed, current->workers, hits, statistics);
}

/* The generation and the vectors are read in one transaction, so that they fit together whatever
 * other processes write. */
int current_begin(struct current *current, const char *identity, int64_t model, size_t dim,
                  const struct vectors **vectors)
{
    const struct store_readers *read = current->store->read;
    struct store_generation now;
    int error = read->begin(current->store);
    if (error)
        return error;
    error = read->read_generation(current->store, model, &now);
    if (!error && (current->model != model || current->generation.changes != now.changes ||
                   current->generation.rewrites != now.rewrites)) {
        current_close(current);
        current->model = model;
        current->generation = now;
        error = update_vectors(current, identity, dim);
        if (!error)
            error = renew_copy(current);
        if (error)
            current_close(current);
    }
    *vectors = &current->vectors;
    return error ? current_end(current, error) : VKCLIP_OK;
}

int current_end(const struct current *current, int error)
{
    const int ended = current->store->read->end(current->store);
    return error ? error : ended;
}

int current_vectors(struct current *current, const char *identity, int64_t model, size_t dim,
                    const struct vectors **vectors)
{
    const int error = current_begin(current, identity, model, dim, vectors);
    return error ? error : current_end(current, VKCLIP_OK);
}
