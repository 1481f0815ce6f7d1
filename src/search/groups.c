/* SPDX-License-Identifier: MIT
 *
 * Joins what the store knows of pictures with the pairs of their vectors.
 */
#include "search/groups.h"
#include "base/memory.h"
#include "base/string.h"
#include "search/duplicates.h"
#include "search/walk.h"

#include <stdlib.h>
#include <string.h>

/* A content with its present files, paths[first] .. paths[first + count - 1]. */
struct picture {
    int64_t id;
    size_t first, count;
    struct duplicates_item item;
};

struct finding {
    const struct groups_request *request;
    const struct vectors *vectors; /* NULL: none are compared */
    struct picture *pictures;      /* in the order of ids */
    size_t picture_count, picture_capacity;
    char **paths;
    size_t path_count, path_capacity;

    /* By row of the vectors: */
    size_t *rows; /* index of the picture; absent rows have none */
    struct duplicates_item *items;
    uint64_t *present; /* a bit for each row that has a picture */

    struct duplicates_distinct *distinct;
    size_t distinct_count, distinct_capacity;
    struct duplicates *duplicates;
};

static int out_of_memory(void)
{
    return error_fail(VKCLIP_EMEMORY, "out of memory for the duplicates of an index");
}

/* Makes room for one more element of an array. */
static int reserve_element(void *array, size_t count, size_t *capacity, size_t size)
{
    void **memory = array;
    if (count < *capacity)
        return VKCLIP_OK;
    const size_t larger = 2 * count + 64;
    void *moved = memory_realloc(*memory, larger * size);
    if (!moved)
        return out_of_memory();
    *memory = moved;
    *capacity = larger;
    return VKCLIP_OK;
}

/* ---- What the store has ---------------------------------------------------------------------- */

/* Is a store_picture_fn: the files of a content follow one another. */
static int add_file(void *user, const struct store_picture *file)
{
    struct finding *finding = user;
    int error = reserve_element(&finding->paths, finding->path_count, &finding->path_capacity,
                                sizeof(*finding->paths));
    if (!error)
        error = reserve_element(&finding->pictures, finding->picture_count,
                                &finding->picture_capacity, sizeof(*finding->pictures));
    char *path = error ? NULL : string_format("%s", file->path);
    if (!path)
        return error ? error : out_of_memory();
    if (!finding->picture_count || finding->pictures[finding->picture_count - 1].id != file->id)
        finding->pictures[finding->picture_count++] =
            (struct picture){.id = file->id,
                             .first = finding->path_count,
                             .item = {.width = file->facts.width,
                                      .height = file->facts.height,
                                      .taken = file->facts.taken}};
    finding->pictures[finding->picture_count - 1].count++;
    finding->paths[finding->path_count++] = path;
    return VKCLIP_OK;
}

/* Finds the row of a content; `count` if it has none. */
static size_t find_row(const struct vectors *vectors, int64_t id)
{
    size_t first = 0, end = vectors->count;
    while (first < end) {
        const size_t middle = first + (end - first) / 2;
        if (vectors->ids[middle] < id)
            first = middle + 1;
        else
            end = middle;
    }
    return first < vectors->count && vectors->ids[first] == id ? first : vectors->count;
}

/* Is a store_pair_fn. */
static int add_distinct(void *user, int64_t a, int64_t b)
{
    struct finding *finding = user;
    const struct vectors *vectors = finding->vectors;
    const struct duplicates_distinct pair = {find_row(vectors, a), find_row(vectors, b)};
    if (pair.a == vectors->count || pair.b == vectors->count)
        return VKCLIP_OK;
    int error = reserve_element(&finding->distinct, finding->distinct_count,
                                &finding->distinct_capacity, sizeof(*finding->distinct));
    if (!error)
        finding->distinct[finding->distinct_count++] = pair;
    return error;
}

/* Finds the picture of each row. */
static int match_rows(struct finding *finding)
{
    const struct vectors *vectors = finding->vectors;
    finding->rows = memory_calloc(vectors->count + 1, sizeof(*finding->rows));
    finding->items = memory_calloc(vectors->count + 1, sizeof(*finding->items));
    finding->present = memory_calloc(vectors->count / 64 + 1, sizeof(*finding->present));
    if (!finding->rows || !finding->items || !finding->present)
        return out_of_memory();
    for (size_t i = 0; i < finding->picture_count; i++) {
        const size_t row = find_row(vectors, finding->pictures[i].id);
        if (row == vectors->count)
            continue;
        finding->rows[row] = i;
        finding->items[row] = finding->pictures[i].item;
        finding->present[row / 64] |= 1ull << row % 64;
    }
    return VKCLIP_OK;
}

/* ---- Groups ---------------------------------------------------------------------------------- */

static int give_exact(const struct finding *finding, const struct picture *picture)
{
    int64_t *ids = memory_alloc(picture->count * sizeof(*ids));
    if (!ids)
        return out_of_memory();
    for (size_t i = 0; i < picture->count; i++)
        ids[i] = picture->id;
    const struct vkclip_group group = {.kind = VKCLIP_GROUP_EXACT,
                                       .paths =
                                           (const char *const *)finding->paths + picture->first,
                                       .ids = ids,
                                       .count = picture->count,
                                       .cosine = 1};
    int error = finding->request->group(finding->request->user, &group);
    memory_free(ids);
    return error;
}

/* Is a duplicates_fn: names each picture by its first file. */
static int give_similar(void *user, const struct duplicates_group *rows)
{
    const struct finding *finding = user;
    const char **paths = memory_alloc(rows->count * sizeof(*paths));
    int64_t *ids = memory_alloc(rows->count * sizeof(*ids));
    int error = paths && ids ? VKCLIP_OK : out_of_memory();
    for (size_t i = 0; i < rows->count && !error; i++) {
        const struct picture *picture = &finding->pictures[finding->rows[rows->rows[i]]];
        paths[i] = finding->paths[picture->first];
        ids[i] = picture->id;
    }
    const struct vkclip_group group = {.kind = rows->same ? VKCLIP_GROUP_SAME : VKCLIP_GROUP_NEAR,
                                       .paths = paths,
                                       .ids = ids,
                                       .count = rows->count,
                                       .cosine = rows->cosine};
    if (!error)
        error = finding->request->group(finding->request->user, &group);
    memory_free(paths);
    memory_free(ids);
    return error;
}

/* Is the `found` of pairs_params. */
static int add_pair(void *user, const struct pair *pair)
{
    const struct finding *finding = user;
    duplicates_add(finding->duplicates, pair);
    return VKCLIP_OK;
}

/* Is the `progress` of pairs_params. */
static int give_share(void *user, double share)
{
    const struct groups_request *request = ((const struct finding *)user)->request;
    return request->progress ? request->progress(request->user, share) : VKCLIP_OK;
}

static int find_similar(struct finding *finding)
{
    const struct groups_request *request = finding->request;
    int error = duplicates_open(finding->items, finding->vectors->count, finding->distinct,
                                finding->distinct_count, &finding->duplicates);
    const struct pairs_params params = {.gpu = request->gpu,
                                        .tuner = request->tuner,
                                        .vectors = finding->vectors,
                                        .least = 1 - request->distance,
                                        .allowed = finding->present,
                                        .found = add_pair,
                                        .progress = give_share,
                                        .user = finding};
    if (!error)
        error = pairs_find(&params);
    return error ? error : duplicates_each(finding->duplicates, give_similar, finding);
}

static void free_finding(struct finding *finding)
{
    duplicates_close(&finding->duplicates);
    for (size_t i = 0; i < finding->path_count; i++)
        memory_free(finding->paths[i]);
    memory_free(finding->paths);
    memory_free(finding->pictures);
    memory_free(finding->rows);
    memory_free(finding->items);
    memory_free(finding->present);
    memory_free(finding->distinct);
}

/* Reads vectors, files and pairs in one transaction, so that they fit together. */
static int read_index(struct finding *finding)
{
    struct current *current = finding->request->current;
    const struct store_model *model = finding->request->model;
    struct store *store = current->store;
    int error = model ? current_begin(current, model->info.identity, model->id,
                                      model->info.embed_dim, &finding->vectors)
                      : store->read->begin(store);
    if (error)
        return error;
    error = store->read->each_picture(store, add_file, finding);
    if (!error && model)
        error = match_rows(finding);
    if (!error && model)
        error = store->read->each_distinct_pair(store, add_distinct, finding);
    return current_end(current, error);
}

int groups_find(const struct groups_request *request)
{
    struct finding finding = {.request = request};
    int error = read_index(&finding);
    for (size_t i = 0; i < finding.picture_count && !error; i++)
        if (finding.pictures[i].count > 1)
            error = give_exact(&finding, &finding.pictures[i]);
    if (!error && request->model)
        error = find_similar(&finding);
    free_finding(&finding);
    return error;
}

/* ---- What are no duplicates ------------------------------------------------------------------ */

struct path_search {
    const char *path;
    int64_t id;
};

/* Is a store_picture_fn. */
static int compare_path(void *user, const struct store_picture *file)
{
    struct path_search *search = user;
    if (!strcmp(search->path, file->path))
        search->id = file->id;
    return VKCLIP_OK;
}

/* Is a store_picture_fn. */
static int note_id(void *user, const struct store_picture *file)
{
    *(int64_t *)user = file->id;
    return VKCLIP_OK;
}

/* Finds the content that a text names. */
static int find_content(struct vkclip_index *index, const char *text, int64_t *id)
{
    struct store *store = index->store;
    char *end = NULL;
    const long long number = string_begins_with(text, "id:") ? strtoll(text + 3, &end, 10) : 0;
    int error;
    *id = 0;
    if (end && end > text + 3 && !*end) {
        error = store->read->each_copy(store, number, note_id, id);
    } else {
        char *path = walk_make_absolute(text);
        struct path_search search = {path, 0};
        error = path ? store->read->each_picture(store, compare_path, &search) : out_of_memory();
        *id = search.id;
        memory_free(path);
    }
    if (!error && !*id)
        error = error_fail(VKCLIP_EABSENT, "%s: is no picture of the index %s", text, index->path);
    return error;
}

int groups_forget(struct vkclip_index *index, const char *a, const char *b)
{
    struct store *store = index->store;
    int64_t id_a, id_b;
    int error = index_check_writable(index);
    if (!error)
        error = find_content(index, a, &id_a);
    if (!error)
        error = find_content(index, b, &id_b);
    if (!error && id_a == id_b)
        error =
            error_fail(VKCLIP_EINVALID,
                       "%s and %s have the same content, which cannot be called different", a, b);
    if (!error)
        error = store->write->begin(store);
    if (error)
        return error;
    return store_end_writing(store, store->write->put_distinct_pair(store, id_a, id_b));
}
