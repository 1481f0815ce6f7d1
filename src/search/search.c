/* SPDX-License-Identifier: MIT
 *
 * One search over the vectors of a model.
 */
#include "search/search.h"
#include "base/calendar.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/string.h"
#include "search/filter.h"
#include "search/query.h"

#include <stdlib.h>
#include <string.h>

enum { DEFAULT_TOP = 10 };

/* ---- Pictures ---------------------------------------------------------------------------------- */

static int64_t find_date(const struct store_picture *picture)
{
    if (picture->facts.taken != INT64_MIN)
        return picture->facts.taken;
    return calendar_local(picture->stamp.modified / 1000000000);
}

struct vkclip_hit search_describe(const struct store_picture *picture)
{
    const struct store_facts *facts = &picture->facts;
    return (struct vkclip_hit){
        .id = picture->id,
        .path = picture->path,
        .width = facts->width,
        .height = facts->height,
        .date = find_date(picture),
        .taken = facts->taken != INT64_MIN,
        .latitude = facts->latitude,
        .longitude = facts->longitude,
        .camera = facts->camera ? facts->camera : "",
        .format = facts->format ? facts->format : "",
    };
}

/* ---- Which vectors may be results ------------------------------------------------------------- */

/* Walks along the vectors while the store lists ids in the same order. */
struct cursor {
    const struct vectors *vectors;
    const struct vkclip_search_params *params; /* NULL: no filters */
    size_t row;                                /* the first whose id was not passed yet */
    uint64_t *allowed;
    vkclip_indexed_fn *fn; /* of search_list */
    void *user;
    float *embed;
};

/* Tells whether a picture has a vector, which is then cursor->row. */
static bool find_row(struct cursor *cursor, int64_t id)
{
    const struct vectors *vectors = cursor->vectors;
    while (cursor->row < vectors->count && vectors->ids[cursor->row] < id)
        cursor->row++;
    return cursor->row < vectors->count && vectors->ids[cursor->row] == id;
}

/* Is a store_id_fn. */
static int allow_id(void *user, int64_t id)
{
    struct cursor *cursor = user;
    if (find_row(cursor, id))
        cursor->allowed[cursor->row / 64] |= (uint64_t)1 << cursor->row % 64;
    return 0;
}

/* Is a store_picture_fn. A picture of several files is allowed if one of them passes. */
static int allow_picture(void *user, const struct store_picture *picture)
{
    const struct cursor *cursor = user;
    const struct vkclip_hit hit = search_describe(picture);
    return filter_match(cursor->params, &hit) ? allow_id(user, picture->id) : 0;
}

/* Makes the mask of the vectors whose pictures are present and pass the filters. */
static int make_mask(const struct search *search, uint64_t **allowed)
{
    struct cursor cursor = {.vectors = &search->current->vectors, .params = search->params};
    cursor.allowed = *allowed =
        memory_calloc(search->current->vectors.count / 64 + 1, sizeof(**allowed));
    if (!*allowed)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the filter of %zu pictures",
                          search->current->vectors.count);
    const struct store_readers *read = search->current->store->read;
    if (filter_is_empty(search->params))
        return read->each_present(search->current->store, allow_id, &cursor);
    return read->each_picture(search->current->store, allow_picture, &cursor);
}

/* ---- Results ----------------------------------------------------------------------------------- */

/* Looking a picture up takes as long as listing this many of them. */
enum { LISTED_PER_LOOKUP = 8 };

struct found {
    const struct search *search;
    struct vkclip_hit *hits; /* Their texts are copies. Before a hit is described it has none. */
    size_t count;
};

static void free_hit(struct vkclip_hit *hit)
{
    memory_free((char *)hit->path);
    memory_free((char *)hit->camera);
    memory_free((char *)hit->format);
}

static void free_found(struct found *found)
{
    for (size_t i = 0; i < found->count; i++)
        free_hit(&found->hits[i]);
    memory_free(found->hits);
    *found = (struct found){0};
}

static bool is_left_out(const struct search *search, int64_t id)
{
    for (size_t i = 0; i < search->left_out_count; i++)
        if (search->left_out[i] == id)
            return true;
    return false;
}

/* Takes those hits of a scan that are results. */
static void take_hits(const struct search *search, const struct scan_hit *hits,
                      const struct scan_statistics *statistics, size_t top, struct found *found)
{
    for (size_t i = 0; i < statistics->found && found->count < top; i++) {
        const double score = (double)hits[i].score;
        const double z = query_z(score, statistics->mean, statistics->deviation);
        if (is_left_out(search, hits[i].id))
            continue;
        if (!query_reaches(search->params, score, z,
                           found->count ? (double)found->hits[0].score : score))
            break; /* z and shares fall with the score. */
        found->hits[found->count++] =
            (struct vkclip_hit){.id = hits[i].id, .score = hits[i].score, .z = (float)z};
    }
}

/* Counts a file of a hit's picture, and describes the hit by the first one that passes the filters.
 */
static int add_file(const struct search *search, struct vkclip_hit *hit,
                    const struct store_picture *picture)
{
    struct vkclip_hit file = search_describe(picture);
    hit->copies++;
    if (hit->path || !filter_match(search->params, &file))
        return VKCLIP_OK;
    file.score = hit->score;
    file.z = hit->z;
    file.copies = hit->copies;
    file.path = string_format("%s", file.path);
    file.camera = string_format("%s", file.camera);
    file.format = string_format("%s", file.format);
    *hit = file;
    return file.path && file.camera && file.format
               ? VKCLIP_OK
               : error_fail(VKCLIP_EMEMORY, "out of memory for results");
}

/* Hits that wait for their files, in the order of ids, in which the store lists files. */
struct waiting {
    const struct search *search;
    struct vkclip_hit **hits, **end;
};

/* Is a store_picture_fn. */
static int take_file(void *user, const struct store_picture *picture)
{
    struct waiting *waiting = user;
    while (waiting->hits < waiting->end && (*waiting->hits)->id < picture->id)
        waiting->hits++;
    if (waiting->hits == waiting->end || (*waiting->hits)->id != picture->id)
        return VKCLIP_OK;
    return add_file(waiting->search, *waiting->hits, picture);
}

static int compare_ids(const void *a, const void *b)
{
    const struct vkclip_hit *const *x = a, *const *y = b;
    return ((*x)->id > (*y)->id) - ((*x)->id < (*y)->id);
}

/* Describes many hits by one list of all pictures, and a few by looking each up. */
static int describe_hits(struct found *found)
{
    const struct search *search = found->search;
    struct store *store = search->current->store;
    struct vkclip_hit **hits = memory_calloc(found->count, sizeof(struct vkclip_hit *));
    int error =
        hits || !found->count ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for results");
    for (size_t i = 0; hits && i < found->count; i++)
        hits[i] = &found->hits[i];
    if (hits && found->count > search->current->vectors.count / LISTED_PER_LOOKUP) {
        struct waiting waiting = {search, hits, hits + found->count};
        qsort(hits, found->count, sizeof(struct vkclip_hit *), compare_ids);
        error = store->read->each_picture(store, take_file, &waiting);
    } else {
        for (size_t i = 0; !error && i < found->count; i++) {
            struct waiting waiting = {search, &hits[i], &hits[i] + 1};
            error = store->read->each_copy(store, hits[i]->id, take_file, &waiting);
        }
    }
    memory_free(hits);
    return error;
}

/* Leaves out hits of which no file is there any more. Tells whether there were any: others of the
 * index could take their place. */
static bool drop_absent(struct found *found)
{
    size_t present = 0;
    for (size_t i = 0; i < found->count; i++)
        if (found->hits[i].path)
            found->hits[present++] = found->hits[i];
    const bool some = present < found->count;
    found->count = present;
    return some;
}

static int scan_hits(const struct search *search, size_t top, const uint64_t *allowed,
                     struct found *found, bool *absent)
{
    /* The query's own pictures may be among the best. */
    const size_t wanted = top + search->left_out_count;
    const size_t scanned = top <= HIT_MOST_TOP && wanted > HIT_MOST_TOP ? HIT_MOST_TOP : wanted;
    struct scan_hit *hits = memory_calloc(scanned, sizeof(*hits));
    struct scan_statistics statistics = {0};
    *found = (struct found){.search = search, .hits = memory_calloc(top, sizeof(*found->hits))};
    int error =
        hits && found->hits ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for results");
    if (!error)
        error = current_top(search->current, search->query, scanned, allowed, hits, &statistics);
    if (!error)
        take_hits(search, hits, &statistics, top, found);
    memory_free(hits);
    if (!error)
        error = describe_hits(found);
    *absent = !error && drop_absent(found);
    return error;
}

/* Puts the newest first, and of several with one date the best. */
static int compare_dates(const void *a, const void *b)
{
    const struct vkclip_hit *x = a, *y = b;
    if (x->date != y->date)
        return x->date < y->date ? 1 : -1;
    return (x->score < y->score) - (x->score > y->score);
}

static int give_hits(struct found *found, enum vkclip_sort sort, vkclip_hit_fn *hit, void *user)
{
    if (sort == VKCLIP_SORT_DATE && found->count)
        qsort(found->hits, found->count, sizeof(*found->hits), compare_dates);
    for (size_t i = 0; i < found->count; i++)
        if (hit(user, &found->hits[i]))
            return error_fail(VKCLIP_ECANCELLED, "the search was stopped by the caller's function");
    return VKCLIP_OK;
}

static size_t choose_top(const struct search *search)
{
    size_t top = search->params->top ? search->params->top : DEFAULT_TOP;
    top = top < search->current->vectors.count ? top : search->current->vectors.count;
    return top ? top : 1;
}

/* Without filters the scan needs no mask, which takes longer to make than the scan itself, unless
 * it meets a picture that is gone. */
static int find_hits(const struct search *search, struct found *found)
{
    const size_t top = choose_top(search);
    uint64_t *allowed = NULL;
    bool absent = !filter_is_empty(search->params);
    int error = VKCLIP_OK;
    if (!absent)
        error = scan_hits(search, top, NULL, found, &absent);
    if (!error && absent) {
        free_found(found);
        error = make_mask(search, &allowed);
        if (!error)
            error = scan_hits(search, top, allowed, found, &absent);
    }
    memory_free(allowed);
    return error;
}

static int begin(const struct search *search)
{
    const struct vectors *vectors;
    return current_begin(search->current, search->identity, search->model, search->dim, &vectors);
}

int search_run(const struct search *search, vkclip_hit_fn *hit, void *user)
{
    struct found found = {0};
    int error = begin(search);
    if (error)
        return error;
    error = current_end(search->current, find_hits(search, &found));
    if (!error)
        error = give_hits(&found, search->params->sort, hit, user);
    free_found(&found);
    return error;
}

/* ---- All pictures ------------------------------------------------------------------------------ */

/* Is a store_picture_fn. */
static int list_picture(void *user, const struct store_picture *picture)
{
    struct cursor *cursor = user;
    const size_t dim = cursor->vectors->dim;
    struct vkclip_hit hit = search_describe(picture);
    if (!find_row(cursor, picture->id) || (cursor->params && !filter_match(cursor->params, &hit)))
        return 0;
    hit.copies = 1;
    for (size_t i = 0; i < dim; i++)
        cursor->embed[i] = half_to_float(cursor->vectors->rows[cursor->row * dim + i]);
    if (cursor->fn(cursor->user, &hit, cursor->embed))
        return error_fail(VKCLIP_ECANCELLED, "the list was stopped by the caller's function");
    return 0;
}

int search_list(const struct search *search, vkclip_indexed_fn *fn, void *user)
{
    struct current *current = search->current;
    struct cursor cursor = {
        .vectors = &current->vectors, .params = search->params, .fn = fn, .user = user};
    cursor.embed = memory_calloc(search->dim, sizeof(*cursor.embed));
    int error =
        cursor.embed ? begin(search) : error_fail(VKCLIP_EMEMORY, "out of memory for an embedding");
    if (!error)
        error = current_end(
            current, current->store->read->each_picture(current->store, list_picture, &cursor));
    memory_free(cursor.embed);
    return error;
}
